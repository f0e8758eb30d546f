// How far a group consumer has used the messages of each partition, also of those that belong to others by now, and whether all
// of that is still there: with durability `memory` a power cut may take messages, and others get their offsets.

import { Status } from '../protocol/errors.ts'
import type { Identifier } from '../protocol/identifier.ts'
import type { Client } from './client.ts'
import { GalgoError, TruncatedError, type TruncatedPartition } from './errors.ts'

export class GroupReach {
  readonly #client: Client
  readonly #topic: { readonly stream: Identifier; readonly topic: Identifier }
  /** By partition: the offset after the last message that was used. */
  readonly #next = new Map<number, number>()
  #epoch: number | undefined

  constructor(client: Client, topic: { readonly stream: Identifier; readonly topic: Identifier }) {
    this.#client = client
    this.#topic = topic
  }

  /** The loss epoch in which all of it was there; undefined before the first poll. */
  get epoch(): number | undefined {
    return this.#epoch
  }

  used(partition: number, offset: number): void {
    this.#next.set(partition, Math.max(this.#next.get(partition) ?? 0, offset + 1))
  }

  /** The partition was purged. */
  forget(partition: number): void {
    this.#next.delete(partition)
  }

  /** An answer told of this epoch. Answers what of the messages that were used may be lost since, once. */
  async look(epoch: number): Promise<TruncatedError | null> {
    const lost = this.#epoch === undefined || epoch === this.#epoch ? null : await this.find()
    this.#epoch = Math.max(epoch, this.#epoch ?? 0)
    return lost
  }

  async find(): Promise<TruncatedError | null> {
    const lost: TruncatedPartition[] = []
    let epoch = this.#epoch ?? 0
    for (const [partition, offset] of this.#next) {
      const truncated = await this.#ask(partition, offset)
      if (truncated === null) continue
      lost.push({ partition, offset: truncated.offset })
      epoch = Math.max(epoch, truncated.epoch)
    }
    const [first] = lost
    if (first === undefined) return null
    for (const { partition } of lost) this.#next.delete(partition)
    this.#epoch = epoch
    return new TruncatedError(epoch, first.offset, lost)
  }

  /** As a reader without a name: it makes no difference whose the partition is. */
  async #ask(partition: number, offset: number): Promise<TruncatedError | null> {
    const from = { kind: 'offset', offset } as const
    const seen = this.#epoch ?? 0
    try {
      await this.#client.poll({ ...this.#topic, partition, from, count: 1, consistency: 'primary', seen })
    } catch (error) {
      if (error instanceof TruncatedError) return error
      const gone = error instanceof GalgoError && error.status === Status.partitionNotFound
      if (!gone) throw error
    }
    return null
  }
}
