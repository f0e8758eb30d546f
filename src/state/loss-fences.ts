// What the cluster may have lost, with durability `memory`: for every loss and every partition that was there, the first offset
// whose message may be gone. Whoever has seen something at or above it, in an earlier epoch, has seen what is not there any more.
//
//   partition:  ───── kept ─────┤fence of epoch 3: 120├──── written since, with the same offsets as what was lost ────

/** Fences that are remembered of a partition; a reader with an older epoch is told offset 0. */
const FENCES_MAX = 8
/** Losses that are remembered. */
const LOSSES_MAX = 64

/** By partition directory: epoch and first offset, the newest last. */
export type LossFencesImage = readonly [
  epoch: number,
  fences: readonly [string, readonly (readonly [number, number])[]][],
  losses: readonly (readonly [epoch: number, op: number])[],
]

export class LossFences {
  #epoch = 0
  #fences = new Map<string, (readonly [epoch: number, offset: number])[]>()
  #losses: (readonly [epoch: number, op: number])[] = []

  /** Of the last loss; 0 when there was none. */
  get epoch(): number {
    return this.#epoch
  }

  /** A loss more, told by this op: these partitions end where they end now. */
  add(
    epoch: number,
    op: number,
    partitions: Iterable<{ readonly directory: string; readonly nextOffset: number }>,
  ): void {
    const fences = new Map<string, (readonly [number, number])[]>()
    for (const { directory, nextOffset } of partitions) {
      const known = this.#fences.get(directory) ?? []
      fences.set(directory, [...known, [epoch, nextOffset] as const].slice(-FENCES_MAX))
    }
    // Those of partitions that are no more go.
    this.#fences = fences
    this.#losses = [...this.#losses, [epoch, op] as const].slice(-LOSSES_MAX)
    this.#epoch = epoch
  }

  /** The op that told of the first loss after this epoch, as far as it is remembered; 0 when none did. */
  lossAfter(epoch: number): number {
    return this.#losses.find(([of]) => of > epoch)?.[1] ?? 0
  }

  /** Did an op of those above `after`, up to `last`, tell of a loss? As far as it is remembered. */
  lossWithin(after: number, last: number): boolean {
    return this.#losses.some(([, op]) => op > after && op <= last)
  }

  /** The first offset of the partition that may not be what a reader of an earlier epoch has seen; null when all is. */
  since(directory: string, epoch: number): number | null {
    if (epoch >= this.#epoch) return null
    const loss = this.#losses.find(([of]) => of > epoch)?.[0]
    // No fence of it is known: too many came since, or the partition was made since, in the place of one that was lost with its topic.
    return this.#fences.get(directory)?.find(([of]) => of === loss)?.[1] ?? 0
  }

  encode(): LossFencesImage {
    return [this.#epoch, [...this.#fences], this.#losses]
  }

  restore([epoch, fences, losses]: LossFencesImage): void {
    this.#epoch = epoch
    this.#fences = new Map(fences.map(([directory, list]) => [directory, [...list]]))
    this.#losses = [...losses]
  }
}
