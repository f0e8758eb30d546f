// What a node keeps free of its disk: with less, it takes no more messages, because checkpoints and what else it writes need
// room too.

const RESERVE_MAX = 256 * 1024 * 1024

/** Bytes, of a disk of so many. */
export function diskReserve(total: number): number {
  return Math.min(RESERVE_MAX, total / 20)
}
