// How fresh the answer to a read has to be: a number at byte 200 of a Request, which Iggy's clients leave 0.
//
//   0  primary        committed data, from the node that leads as far as it knows; one that was deposed unawares may be behind
//   1  linearizable   from the primary after a majority confirmed that it leads: everything acknowledged before the question
//   2  any            committed data of whichever node is asked, which may be behind; never anything that is taken back, but by a
//                     loss with durability `memory`, which is told
//
// A Register with 2 there opens a connection for reading only: any node answers it by itself, nothing of it goes through the log.
export const Consistency = { primary: 0, linearizable: 1, any: 2 } as const
export type Consistency = keyof typeof Consistency

/** The session of every connection for reading: no register can ever have this op. */
export const READER_SESSION = 2 ** 52
