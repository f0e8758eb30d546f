// Segments in which a reader or the scrubber found damage are made whole again from another replica: what is wrong is fetched,
// checked, and written in place. Until then readers get an error for what is damaged, never wrong bytes. An index is made again
// from its segment.
//
//   damaged ─▶ queue ─▶ fetched from a peer ─▶ whole
//                ▲            │ silence, gone, damaged there too: later, from another one
//                └────────────┘
import { HEADER_SIZE, type Message } from '../src/protocol/message.ts'
import type { DamagedPart, SegmentSpan } from '../storage/segment-audit.ts'
import { BlockFetcher, type BlockFetcherOptions } from './block-fetcher.ts'
import type { Log, StateMachine, Transfer } from './ports.ts'

/** Damaged segments that are remembered; others are found again by the next round of the scrubber. */
const QUEUE_MAX = 1024
const SILENCE_MS = 2000
/** Milliseconds until a segment that nobody could repair is tried again. */
const RETRY_MS = 5000

export interface SegmentRepairOptions extends BlockFetcherOptions {
  readonly log: Log
  readonly stateMachine: StateMachine
  readonly blockSize: number
  /** Some other replica that is there, other than `but` if there is a choice; -1 when nobody is. */
  readonly somePeer: (but: number) => number
  readonly onDiskFault: (what: string) => void
}

interface Damage {
  readonly span: SegmentSpan
  readonly part: DamagedPart
}

export class SegmentRepair {
  readonly #options: SegmentRepairOptions
  readonly #fetcher: BlockFetcher
  readonly #queue = new Map<string, Damage>()
  /**
   * Who was asked last for each of them, so that the next one is somebody else. Not who was asked last at all: two segments in turn
   * would ask two replicas in turn, each of them always the same one.
   */
  readonly #asked = new Map<string, number>()
  #current: Damage | null = null
  #transfer: Transfer | null = null
  #retryAt = 0
  #now = 0
  repaired = 0

  constructor(options: SegmentRepairOptions) {
    this.#options = options
    this.#fetcher = new BlockFetcher(options)
  }

  /** Segments that are known to be damaged. */
  get damaged(): number {
    return this.#queue.size
  }

  /** One of them is being repaired. */
  get busy(): boolean {
    return this.#current !== null
  }

  /** Of two spans the one of the later checkpoint stays: what it counts more, also of the index, may be what is damaged. */
  add(span: SegmentSpan, part: DamagedPart): void {
    const known = this.#queue.get(span.name)
    if (known === undefined && this.#queue.size >= QUEUE_MAX) return
    const worse = known === undefined || (known.part === 'index' && part === 'records')
    const later = known !== undefined && isLater(span, known.span)
    if (worse) this.#options.log.error('segment-damaged', { segment: span.name, part })
    if (worse || later)
      this.#queue.set(span.name, { span: later ? span : (known?.span ?? span), part: worse ? part : known.part })
  }

  /** `mayBegin`: the state machine has no other transfer. */
  tick(now: number, mayBegin: boolean): void {
    this.#now = now
    this.#fetcher.tick(now)
    if (this.#current !== null) {
      if (!mayBegin) this.#drop()
      else if (this.#fetcher.silence >= SILENCE_MS) this.#later('silence')
      return
    }
    if (this.#queue.size === 0 || !mayBegin || now < this.#retryAt) return
    const anybody = this.#options.somePeer(-1) >= 0
    // An index needs nobody else.
    const damage = [...this.#queue.values()].find(({ part }) => anybody || part === 'index')
    if (damage === undefined) return
    const { name } = damage.span
    if (!this.#options.stateMachine.hasSegment(name)) return this.#forget(damage)
    this.#begin(damage, this.#options.somePeer(this.#asked.get(name) ?? -1))
  }

  #begin(damage: Damage, peer: number): void {
    const { stateMachine, blockSize, log, onDiskFault } = this.#options
    const { span, part } = damage
    this.#current = damage
    this.#asked.set(span.name, peer)
    this.#fetcher.begin(peer, 0)
    this.#transfer = stateMachine.transfer([span], {
      blockSize,
      live: true,
      // All of it is counted: when it is not what was counted, nothing of it is known to be.
      kept: () => 0,
      fetch: (name, position, length) => this.#fetcher.fetch(name, position, length),
      onSpan: () => {},
      done: (outcome) => {
        if (this.#current !== damage) return
        if (outcome === 'damaged') return this.#later('damaged there too, or not there yet')
        this.#drop()
        if (outcome === 'ok') {
          this.#forget(damage)
          this.repaired += 1
          log.info('segment-repaired', { segment: span.name, part, peer })
        } else if (stateMachine.hasSegment(span.name)) {
          onDiskFault(`${span.name} could not be repaired: ${outcome}`)
        }
      },
    })
    this.#transfer.start()
  }

  #forget(damage: Damage): void {
    const { name } = damage.span
    // More of it was found damaged meanwhile.
    if (this.#queue.get(name) !== damage) return
    this.#queue.delete(name)
    this.#asked.delete(name)
  }

  /** The next of the queue first; this one after the others. */
  #later(why: string): void {
    const { name } = (this.#current as Damage).span
    const damage = this.#queue.get(name) as Damage
    this.#options.log.warn('segment-not-repaired', { segment: name, peer: this.#fetcher.peer, why })
    this.#drop()
    this.#queue.delete(name)
    this.#queue.set(name, damage)
    this.#retryAt = this.#now + RETRY_MS / this.#queue.size
  }

  #drop(): void {
    this.#transfer?.cancel()
    this.#transfer = null
    this.#current = null
    this.#fetcher.stop()
  }

  onBlock(message: Message, from: number): void {
    const wanted = this.#fetcher.take(message, from)
    if (wanted === null || this.#current === null) return
    if (wanted === 'gone') return this.#later('gone')
    if (wanted.name !== null)
      this.#transfer?.supply(wanted.name, wanted.position, message.bytes, HEADER_SIZE, wanted.length)
  }
}

/** Does a later checkpoint describe the segment so? */
function isLater(a: SegmentSpan, b: SegmentSpan): boolean {
  return a.nextOffset > b.nextOffset || (a.ended && !b.ended)
}
