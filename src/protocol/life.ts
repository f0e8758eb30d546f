// Which life of a partition a poll has read, and a stored offset is of: a purge, or a topic of the same name, begins another one,
// with other messages at the same offsets. A life is named by the op that began it, so a later one has the higher number; only a
// loss with durability `memory` gives ops anew, and that raises the loss epoch. In fields that Iggy's clients leave zero and do not
// look at.
//
//   Reply    life 240/8: of pollMessages
//   Request  life 208/8: of storeConsumerOffset, the one that the message was read in; 0 when it does not say

/** As a reader knows it. `life` is 0 when the server does not say. */
export interface Life {
  readonly lossEpoch: number
  readonly life: number
}

/** Is what an answer shows of another life than what was known, and if so of a later one, or from a node that is behind? */
export function compareLives(known: Life | undefined, shown: Life): 'same' | 'later' | 'earlier' {
  if (known === undefined || known.life === 0 || shown.life === 0 || known.life === shown.life) return 'same'
  if (known.lossEpoch !== shown.lossEpoch) return shown.lossEpoch > known.lossEpoch ? 'later' : 'earlier'
  return shown.life > known.life ? 'later' : 'earlier'
}
