// Tells a run in sentences: it looks at what changed in each replica after every event, and at frames that say something.
import { FrameAt } from '../../consensus/frames.ts'
import { At, Command, commandOf, getU32, getU64 } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import type { ReplicaStatus } from '../../src/state/replica-port.ts'
import type { SimNode } from '../node.ts'
import type { Spoiled } from './damage.ts'
import type { Deed } from './recording.ts'

export type Topic = 'deed' | 'election' | 'commit' | 'repair' | 'checkpoint' | 'story' | 'verdict'

export interface Sentence {
  readonly id: number
  /** Microseconds. */
  readonly at: number
  readonly topic: Topic
  readonly text: string
}

/** Older ones are forgotten. */
const SENTENCES_MAX = 400
const FETCH_NEWS_MICROS = 200_000

interface Seen {
  generation: number
  opened: boolean
  status: ReplicaStatus | null
  view: number
  primary: boolean
  commit: number
  checkpoint: number
  transferred: number
  behind: boolean
  faulty: number
  damaged: number
  repaired: number
  paused: boolean
}

export class Narrator {
  readonly #now: () => number
  #sentences: Sentence[] = []
  #next = 1
  readonly #seen = new Map<SimNode, Seen>()
  /** What was said about votes, so that a repetition is no news. */
  readonly #said = new Set<string>()
  readonly #wishes = new Map<number, Set<number>>()
  readonly #fetchedAt = new Map<number, number>()
  #committed = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** Newest last. */
  get sentences(): readonly Sentence[] {
    return this.#sentences
  }

  say(topic: Topic, text: string): void {
    this.#sentences.push({ id: this.#next++, at: this.#now(), topic, text })
    if (this.#sentences.length > 2 * SENTENCES_MAX) this.#sentences = this.#sentences.slice(-SENTENCES_MAX)
  }

  onDeed(deed: Deed): void {
    this.say('deed', describeDeed(deed))
  }

  onSpoiled({ node, what }: Spoiled): void {
    this.say('deed', `Bits flip on the disk of replica ${node.index}, in ${what}. It does not know yet.`)
  }

  onHealed({ node, what }: Spoiled): void {
    this.say('repair', `Replica ${node.index} has written ${what} anew; the flipped bits are gone.`)
  }

  onAcknowledged(client: number, request: number, op: number): void {
    this.say('commit', `Client ${client} hears that its request ${request} is safe, as op ${op}.`)
  }

  onSend(node: SimNode, to: number, message: Message): void {
    const view = getU32(message.words, At.view)
    const me = `Replica ${node.index}`
    switch (commandOf(message)) {
      case Command.startViewChange: {
        if (!this.#first(`wish ${node.index} ${node.generation} ${view}`)) return
        const wishes = this.#wishes.get(view) ?? new Set()
        const others = [...wishes].filter((other) => other !== node.index)
        this.#wishes.set(view, wishes.add(node.index))
        if (this.#wishes.size > 64) this.#wishes.delete(Math.min(...this.#wishes.keys()))
        const too = others.length > 0 ? ' too' : ''
        return this.say('election', `${me} misses its primary${too} and asks for view ${view}.`)
      }
      case Command.doViewChange:
        if (!this.#first(`vote ${node.index} ${node.generation} ${view}`)) return
        return this.say('election', `${me} votes for view ${view}: it sends its log to replica ${to}.`)
      case Command.getPrepare: {
        const op = getU64(message.words, FrameAt.getPrepare.op)
        // Many are asked for at once: the first one stands for all.
        const quiet = this.#now() - (this.#fetchedAt.get(node.index) ?? Number.NEGATIVE_INFINITY) < FETCH_NEWS_MICROS
        this.#fetchedAt.set(node.index, this.#now())
        if (quiet) return
        return this.say('repair', `${me} lacks op ${op} and asks replica ${to} for it, by its checksum.`)
      }
      default:
    }
  }

  #first(key: string): boolean {
    if (this.#said.has(key)) return false
    if (this.#said.size >= 1000) this.#said.clear()
    this.#said.add(key)
    return true
  }

  /** Looks at a node after an event. */
  observe(node: SimNode): void {
    const { replica, journal } = node
    if (replica === null || journal === null || !node.opened) {
      this.#seen.delete(node)
      return
    }
    const me = `Replica ${node.index}`
    const { damaged, repaired } = replica.segmentRepairs
    const now: Seen = {
      generation: node.generation,
      opened: node.opened,
      status: replica.status,
      view: replica.view,
      primary: replica.isPrimary,
      commit: replica.commitMin,
      checkpoint: replica.checkpointOp,
      transferred: replica.transferredOp,
      behind: replica.tooFarBehind,
      faulty: journal.faultyCount,
      damaged,
      repaired,
      paused: node.pausedUntil > this.#now(),
    }
    const was = this.#seen.get(node)
    this.#seen.set(node, now)
    if (was === undefined) {
      if (node.generation > 1) this.#onOpened(me, now, replica.op)
      return
    }
    if (was.paused && !now.paused) this.say('deed', `${me} goes on after its pause.`)
    if (now.status === 'recovering_head' && was.status !== now.status)
      this.say('repair', `${me} cannot tell where its log ends; it waits to be told.`)
    if (now.primary && !was.primary)
      this.say('election', `${me} is primary of view ${now.view}; its log goes up to op ${replica.op}.`)
    if (!now.primary && was.primary && now.view > was.view)
      this.say('election', `${me}, until now primary of view ${was.view}, learns of view ${now.view}.`)
    else if (!now.primary && was.primary && now.status === 'normal')
      this.say('election', `${me}, primary of view ${now.view}, no longer hears a majority and falls silent.`)
    if (now.status === 'normal' && was.status !== 'normal' && !now.primary && replica.primaryIndex !== node.index)
      this.say('election', `${me} follows replica ${replica.primaryIndex} in view ${now.view}.`)
    if (now.commit > this.#committed) {
      this.#committed = now.commit
      this.say('commit', `Op ${now.commit} is committed: a majority has it on disk.`)
    }
    if (now.faulty < was.faulty)
      this.say(
        'repair',
        `${me} has ${count(was.faulty - now.faulty, 'damaged slot')} whole again, ${now.faulty === 0 ? 'and none left' : `${now.faulty} left`}.`,
      )
    if (now.checkpoint > was.checkpoint && now.transferred === was.transferred)
      this.say('checkpoint', `${me} has checkpoint ${now.checkpoint} on disk; older journal slots may be used again.`)
    if (now.behind && !was.behind)
      this.say(
        'repair',
        `${me} needs a checkpoint of another replica: what it lacks is in no journal any more, or its own is damaged.`,
      )
    if (now.transferred > was.transferred)
      this.say('repair', `${me} has taken checkpoint ${now.transferred} and its segments from another replica.`)
    if (now.damaged > was.damaged)
      this.say('repair', `${me} finds a damaged block in a segment and asks the others for it.`)
    if (now.repaired > was.repaired) this.say('repair', `${me} has repaired a segment with bytes from another replica.`)
  }

  #onOpened(me: string, now: Seen, op: number): void {
    const damage = now.faulty === 0 ? '' : `, ${count(now.faulty, 'slot')} damaged (not absent!)`
    this.say('repair', `${me} is up again and has read its disk: view ${now.view}, log up to op ${op}${damage}.`)
    if (now.status === 'recovering_head')
      this.say('repair', `${me} cannot tell where its log ends; it waits to be told.`)
    if (now.behind) this.say('repair', `${me} cannot read its checkpoint and needs that of another replica.`)
  }
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}

export function describeDeed(deed: Deed): string {
  switch (deed.verb) {
    case 'crash':
      return `The process of replica ${deed.replica} is killed.`
    case 'power':
      return `Replica ${deed.replica} loses power; what was not synced is at the mercy of its disk.`
    case 'restart':
      return `Replica ${deed.replica} is started again.`
    case 'pause':
      return `Replica ${deed.replica} freezes for a second.`
    case 'cut':
      return `Nothing gets from replica ${deed.from} to replica ${deed.to} any more.`
    case 'mend':
      return `Replica ${deed.to} hears replica ${deed.from} again.`
    case 'isolate':
      return `Replica ${deed.replica} is cut off from all others.`
    case 'rejoin':
      return `Replica ${deed.replica} is connected with the others again.`
    case 'rot-slot':
    case 'rot-segment':
    case 'rot-checkpoint':
    case 'rot-superblock':
      return `Bit rot on replica ${deed.replica}.`
    case 'faults':
      return deed.on ? 'Random faults begin.' : 'Random faults end; what is broken heals by and by.'
  }
}
