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

  /** The first offset of the partition that may not be what a reader of an earlier epoch has seen; null when all is. */
  since(directory: string, epoch: number): number | null {
    const fences = this.#fences.get(directory)
    if (fences === undefined || epoch >= this.#epoch) return null
    const index = fences.findIndex(([of]) => of > epoch)
    if (index < 0) return null
    return index === 0 && fences.length === FENCES_MAX ? 0 : (fences[index] as readonly [number, number])[1]
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
