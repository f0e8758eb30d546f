// Members of the groups: each has a seat in a group, which it leaves in one of the ways that programs do, to be followed by
// another member.
//
//   leaves      closes its consumer, then its client
//   breaks      ends its loop; the client stays, and joins again with another consumer
//   logs out    closes its client under the running consumer; with requests on their way, it is gone without a word too
//   dies        its connections end without a word: the cluster has to notice by itself
import type { SeededRandom } from '../../simulator/random.ts'
import { type Client, GalgoError, type GroupConsumer, type PolledMessage } from '../../src/index.ts'
import { Status } from '../../src/protocol/errors.ts'
import { BATCH_SIZE, COMMIT_EVERY, type Context, type GroupName, pause, STREAM, TOPIC } from './context.ts'
import type { GroupHistory } from './group-history.ts'

const LIFE_MS_MIN = 3000
const LIFE_MS_MAX = 60_000
/** Between two members of a seat. */
const EMPTY_MS_MAX = 2000
const FLUSH_MS = 300
const BREAK_MS = 1000
/** Between two that are gone without a word in a group: what the first one held has long found somebody else. */
const DEATHS_MS = 60_000
const LATE: ReadonlySet<number | undefined> = new Set([
  Status.consumerGroupPartitionNotOwned,
  Status.consumerGroupMemberNotFound,
])
const ENDS = ['leaves', 'leaves', 'breaks', 'breaks', 'logs out', 'dies'] as const

export interface Seat {
  readonly group: GroupName
  readonly number: number
}

export async function runSeat(context: Context, { group, number }: Seat, random: SeededRandom): Promise<void> {
  const { counters, stop } = context
  for (let n = 0; !stop.signal.aborted; n++) {
    const name = `${group} ${number}.${n}`
    const { client, line } = await context.connect(number + n, name)
    let again = true
    for (let i = 0; again && !stop.signal.aborted; i++) {
      const member = new Member(context, group, i === 0 ? name : `${name}, the ${i + 1}. time`, client, random)
      counters.joined += 1
      const reading = member.read()
      await pause(random.between(LIFE_MS_MIN, LIFE_MS_MAX), stop.signal, context.drain.signal)
      // Whoever is there when the producers end stays until everything was used.
      if (context.drain.signal.aborted) await pause(2 ** 30, stop.signal)
      const end = stop.signal.aborted ? 'leaves' : endOf(context, group, random)
      again = end === 'breaks'
      if (end === 'dies') {
        member.forgiven = true
        line.cut()
        counters.died += 1
      } else if (end === 'logs out') {
        member.forgiven = true
        await client.close()
      } else if (end === 'breaks') {
        member.enough = true
        counters.rejoined += 1
        // One that gets nothing has no loop to end.
        await Promise.race([reading, pause(BREAK_MS)])
        await context.requests.time(`${name} leaves`, member.consumer.close())
      } else {
        await context.requests.time(`${name} leaves`, member.consumer.close())
        counters.left += 1
      }
      if (end === 'dies') await client.close({ graceMs: 0 })
      await reading
    }
    await client.close()
    await pause(random.below(EMPTY_MS_MAX), stop.signal)
  }
}

function endOf({ diedAt }: Context, group: GroupName, random: SeededRandom): (typeof ENDS)[number] {
  const end = random.pick(ENDS)
  if (end !== 'dies' && end !== 'logs out') return end
  const now = performance.now()
  if (now - (diedAt.get(group) ?? Number.NEGATIVE_INFINITY) < DEATHS_MS) return 'leaves'
  diedAt.set(group, now)
  return end
}

class Member {
  readonly consumer: GroupConsumer
  /** What fails now is its own doing. */
  forgiven = false
  /** Ends its loop at the next message. */
  enough = false
  readonly #context: Context
  readonly #histories: readonly GroupHistory[]
  readonly #name: string
  readonly #random: SeededRandom
  /** Stores offsets itself. */
  readonly #commits: boolean
  /** By partition: where the poll that it uses now goes on. */
  readonly #expected = new Map<number, number>()
  readonly #unstored = new Map<number, PolledMessage>()
  #sinceCommit = 0

  constructor(context: Context, group: GroupName, name: string, client: Client, random: SeededRandom) {
    this.#context = context
    this.#histories = context.groups[group]
    this.#name = name
    this.#random = random
    this.#commits = random.chance(0.3)
    this.#watch(client)
    this.consumer = client.groupConsumer({
      stream: STREAM,
      topic: TOPIC,
      group,
      follow: true,
      batchSize: BATCH_SIZE,
      autoCommit: !this.#commits,
    })
  }

  /** Every request that its consumer makes is timed and noted. */
  #watch(client: Client): void {
    const { requests, partitions, counters } = this.#context
    const own = Object.getPrototypeOf(client) as Client
    const timed = <T>(what: string, request: Promise<T>): Promise<T> =>
      requests.time(`${what} of ${this.#name}`, request)
    client.joinGroup = (place) => timed('join', own.joinGroup.call(client, place))
    client.leaveGroup = (place) => timed('leave', own.leaveGroup.call(client, place))
    client.syncGroup = (place) => timed('sync', own.syncGroup.call(client, place))
    client.pollAsMember = async (options) => {
      const polling = this.#histories[options.partition]?.poll(this.#name)
      const polled = await timed('poll', own.pollAsMember.call(client, options))
      const first = polled?.messages[0]?.offset
      if (polled === null || first === undefined) return polled
      counters.polls += 1
      polling?.(first)
      partitions[options.partition]?.poll(first).ok(this.#context.observed(polled.messages), { linearizable: false })
      this.#expected.set(options.partition, first)
      return polled
    }
    client.storeOffset = async (place, offset) => {
      const stored = this.#histories[place.partition]?.store(this.#name, offset)
      await timed('store', own.storeOffset.call(client, place, offset))
      stored?.()
      counters.stored += 1
    }
  }

  async read(): Promise<void> {
    const flushing = this.#commits ? this.#flush() : Promise.resolve()
    try {
      for await (const message of this.consumer) {
        if (this.enough) break
        await this.#use(message)
      }
    } catch (error) {
      if (!this.forgiven) this.#context.failed(this.#name, error)
    }
    this.enough = true
    await flushing
  }

  async #use(message: PolledMessage): Promise<void> {
    const { partition, offset } = message
    this.#histories[partition]?.use(this.#name, offset, this.#expected.get(partition) ?? -1)
    this.#expected.set(partition, offset + 1)
    this.#context.counters.used += 1
    // Now and then a message takes its time.
    if (this.#random.chance(0.01)) await pause(this.#random.below(this.#random.chance(0.05) ? 3000 : 200))
    if (!this.#commits) return
    this.#unstored.set(partition, message)
    this.#sinceCommit += 1
    if (this.#sinceCommit >= COMMIT_EVERY) await this.#commit()
  }

  async #commit(): Promise<void> {
    this.#sinceCommit = 0
    for (const [partition, message] of this.#unstored) {
      this.#unstored.delete(partition)
      try {
        await this.consumer.commit(message)
      } catch (error) {
        // Too late, it belongs to somebody else: that is what groups are like.
        const late = error instanceof GalgoError && LATE.has(error.status)
        if (!late && !this.forgiven && !this.#ended(error)) this.#context.failed(this.#name, error)
      }
    }
  }

  #ended(error: unknown): boolean {
    return this.enough || (error instanceof GalgoError && error.code === 'closed')
  }

  async #flush(): Promise<void> {
    while (!this.enough && !this.forgiven) {
      await pause(FLUSH_MS)
      if (!this.enough && !this.forgiven) await this.#commit()
    }
  }
}
