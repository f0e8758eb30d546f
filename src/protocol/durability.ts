// What a reply says of its durability, and a poll of what its reader has seen. In fields that Iggy's clients leave zero and do
// not look at; with durability `disk` all of them are zero.
//
//   Reply    durability 220/1: 1 for `memory`    loss_epoch 224/4    truncated_from 232/8: with status `logTruncated`, the first
//            offset that may not be what the reader has seen
//   Request  loss_epoch 204/4: of pollMessages and storeConsumerOffset, the epoch of what the reader has seen, plus 1; 0 when it
//            does not say
import { At, setU32 } from './frame.ts'
import type { Message } from './message.ts'

export type Durability = 'disk' | 'memory'

/** Of a reply of a node with durability `memory`. */
export function markMemory(reply: Message, lossEpoch: number): void {
  reply.bytes[At.reply.durability] = 1
  setU32(reply.words, At.reply.lossEpoch, lossEpoch)
}
