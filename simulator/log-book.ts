// What everybody who writes to or reads from the lasting topic saw of it, a history for each partition: whether one log
// explains all of it is checked as it happens.
import { type PolledMessage, readMessages } from '../src/protocol/batch.ts'
import { Reader } from '../src/protocol/bytes.ts'
import { decodePollReply } from '../src/protocol/commands/poll-messages.ts'
import { Anomalies, type Append, LogHistory, type Observed } from './checkers/log-history.ts'
import type { SimMessage } from './repeats.ts'
import { Violation } from './violation.ts'
import { equalBytes } from './virtual-disk.ts'

export const PARTITIONS = 3

export interface Seen {
  /** One above the newest offset, when the answer tells it. */
  readonly tail: number | undefined
  readonly records: readonly Observed<string>[]
}

export class LogBook {
  readonly anomalies = new Anomalies()
  readonly histories: readonly LogHistory<string>[]
  /** By value: one, or more when after a loss another session has the number of a lost one. */
  readonly #payloads = new Map<string, Uint8Array[]>()
  /**
   * By request: the batch as it may stand in each partition, and nowhere else once it is known where; message by message where
   * some of them may be there already.
   */
  readonly #appends = new Map<string, readonly (readonly Append<string>[])[]>()
  /** By value, if the topic drops repetitions: what was sent. */
  readonly #sent: Map<string, readonly Append<string>[]> | null
  /** Messages that were read, and answers to linearizable questions. */
  readonly counts = { messages: 0, linearizable: 0 }
  lost = false

  /** `repeats`: messages are sent again, and the topic drops them. */
  constructor({ repeats = false }: { readonly repeats?: boolean } = {}) {
    this.#sent = repeats ? new Map() : null
    this.histories = Array.from(
      { length: PARTITIONS },
      (_, partition) => new LogHistory<string>(`partition ${partition}`, this.anomalies),
    )
  }

  /** A batch is about to be sent. What is told apart by its id is a value. */
  sending(client: number, session: number, number: number, messages: readonly SimMessage[]): void {
    const values = messages.map(({ id: [word0, word1, word2, word3] }) => valueOf(word0, word1, word2, word3))
    messages.forEach(({ payload }, i) => this.#keep(values[i] as string, payload))
    if (this.lost) return
    const producer = `client ${client} in session ${session}`
    const appends =
      this.#sent === null
        ? [this.histories.map((history) => history.append(producer, values))]
        : values.map((value) => this.#once(producer, value))
    this.#appends.set(`${client}/${session}/${number}`, appends)
  }

  #keep(value: string, payload: Uint8Array): void {
    const known = this.#payloads.get(value) ?? []
    if (known.some((other) => equalBytes(other, payload))) return
    this.#payloads.set(value, [...known, payload])
  }

  /** A message that will be there once, however often it is sent. */
  #once(producer: string, value: string): readonly Append<string>[] {
    const known = this.#sent?.get(value)
    for (const append of known ?? []) append.again()
    if (known !== undefined) return known
    const appends = this.histories.map((history) => history.append(producer, [value]))
    this.#sent?.set(value, appends)
    return appends
  }

  /** Its reply came: stored in a partition, its first message at an offset, or refused. */
  sent(client: number, session: number, number: number, at: { partition: number; offset: number } | null): void {
    this.#appends.get(`${client}/${session}/${number}`)?.forEach((appends, i) =>
      appends.forEach((append, partition) => {
        if (partition !== at?.partition) append.fail()
        else if (i === 0) append.ok(at.offset)
        else append.isStored()
      }),
    )
    this.check()
  }

  /** The messages in the body of a poll's reply: those that were sent, whole. */
  read(partition: number, body: Uint8Array): Seen {
    const reply = decodePollReply(new Reader(body))
    const messages = readMessages(body, reply.recordsFrom, reply.recordsTo, partition)
    if (messages.length !== reply.count)
      throw new Violation('reads', `a poll announced ${reply.count} messages and brought ${messages.length}`)
    this.counts.messages += messages.length
    const tail = reply.currentOffset > 0 || messages.length > 0 ? reply.currentOffset + 1 : undefined
    return { tail, records: messages.map((message) => this.#record(message)) }
  }

  #record(message: PolledMessage): Observed<string> {
    const { id, offset, partition } = message
    const part = (i: number): number => Number((id >> BigInt(32 * i)) & 0xffff_ffffn)
    const value = valueOf(part(0), part(1), part(2), part(3))
    const payloads = this.#payloads.get(value)
    if (payloads !== undefined && !payloads.some((payload) => equalBytes(payload, message.payload)))
      throw new Violation('reads', `message ${value} at offset ${offset} of partition ${partition} has other contents`)
    return { offset, value }
  }

  history(partition: number): LogHistory<string> {
    return this.histories[partition] as LogHistory<string>
  }

  /**
   * Durability `memory`: messages that were acknowledged and read are gone, and there may be others in their places. From now on
   * only that is looked at that a loss does not change: whole messages that somebody sent.
   */
  onLost(): void {
    this.lost = true
  }

  check(): void {
    if (this.lost) return
    const [first] = this.anomalies.list
    if (first !== undefined) throw new Violation(first.kind, first.what)
  }

  finish(): void {
    if (this.lost) return
    for (const history of this.histories) history.finish()
    this.check()
  }
}

function valueOf(number: number, client: number, i: number, session: number): string {
  return `${client}.${session}.${number}.${i}`
}
