// Tells a whole run as a person would: who was primary when, what broke, what came of it, what repaired it, and for how long
// nobody got an answer. What is said again and again is said once, with how often.
import { At, getU64 } from '../src/protocol/frame.ts'
import { HEADER_SIZE } from '../src/protocol/message.ts'
import type { Injected } from './faults/schedule.ts'
import type { SimNode } from './node.ts'
import { Narrator, type Topic } from './stage/narrator.ts'
import type { Watcher } from './swarm.ts'
import type { World } from './world.ts'

export interface Told {
  readonly atMicros: number
  readonly topic: Topic | 'fault' | 'service' | 'rhythm'
  text: string
  /** How often it was said, and when for the last time. */
  times: number
  untilMicros: number
}

export interface Primary {
  readonly replica: number
  readonly view: number
  readonly atMicros: number
}

/** Longer without an answer is told. */
const SILENCE_MICROS = 500_000
/** What is said again within this time is no news. */
const AGAIN_MICROS = 1_500_000

const NUMBERS = /\b(view|op|checkpoint|have|has|asks replica) \d+/g

/** What several replicas do, and how that is said of them together. */
const COMMON: readonly (readonly [one: RegExp, many: string])[] = [
  [/^Replicas? ([\d, ]+) follows? (replica \d+ in view \d+)\.$/, 'follow $2.'],
  [/^Replicas? ([\d, ]+) votes? for (view \d+): .* to (replica \d+)\.$/, 'vote for $2: they send their logs to $3.'],
  [/^Replicas? ([\d, ]+) miss(?:es)? .* for (view \d+)\.$/, 'miss their primary and ask for $2.'],
]

/** The same for the same deed of any replica; null for what each does for itself. */
function common(text: string): string | null {
  const known = COMMON.find(([one]) => one.test(text))
  return known === undefined ? null : text.replace(known[0], known[1])
}

function together(before: string, text: string): string {
  const [one, many] = COMMON.find(([pattern]) => pattern.test(text)) as (typeof COMMON)[number]
  const who = new Set([before, text].flatMap((said) => (one.exec(said)?.[1] ?? '').split(', ')))
  return who.size === 1 ? before : `Replicas ${[...who].join(', ')} ${text.replace(one, many)}`
}

export class Explainer implements Watcher {
  readonly told: Told[] = []
  readonly primaries: Primary[] = []
  /** Microseconds in which clients waited and nobody was answered, for longer than a moment. */
  silentMicros = 0
  silences = 0
  #world: World | null = null
  #narrator = new Narrator(() => this.#now)
  #heard = 0
  #answeredAt = 0
  readonly #recent = new Map<string, Told>()
  readonly #leads = new Map<SimNode, number>()

  onWorld(world: World): void {
    this.#world = world
    const { filter, onAcknowledged, network, rhythm } = world
    const { onChange } = rhythm
    rhythm.onChange = (micros) => {
      onChange(micros)
      this.#say('rhythm', micros > 0 ? `Clients rest, and little breaks, for ${seconds(micros)}.` : 'Work goes on.')
    }
    world.filter = (from, to, message) => {
      this.#narrator.onSend(world.nodes[from] as SimNode, to, message)
      this.#listen()
      return filter(from, to, message)
    }
    world.onAcknowledged = (client, ack) => {
      this.#onAnswer(getU64(new Uint32Array(ack.request.frame.buffer, 0, HEADER_SIZE / 4), At.request.timestamp))
      onAcknowledged(client, ack)
    }
    const { deliver } = network
    network.deliver = (to, from, frame, damaged) => {
      deliver(to, from, frame, damaged)
      this.#look(world.nodes[to] as SimNode)
    }
    for (const node of world.nodes) {
      const { afterEvent } = node.disk
      node.disk.afterEvent = () => {
        afterEvent()
        this.#look(node)
      }
      node.onTicked = () => this.#look(node)
    }
  }

  onInjected({ number, kind, what }: Injected): void {
    this.#say('fault', `Fault ${number}, ${kind}: ${readable(what)}.`)
  }

  onHealed(): void {
    this.#say('fault', 'From here on nothing breaks any more: links are whole, and everybody is started.')
  }

  /** The run is over: whoever still waits, waited until now. */
  finish(): void {
    const waiting = this.#world?.clients.some((client) => client.unanswered.length > 0) ?? false
    const silent = this.#now - this.#answeredAt
    if (!waiting || silent < SILENCE_MICROS) return
    this.silences += 1
    this.silentMicros += silent
    this.#say('service', `Clients have been waiting for an answer for ${seconds(silent)}.`)
  }

  #onAnswer(askedAt: number): void {
    const silent = this.#now - Math.max(this.#answeredAt, askedAt)
    this.#answeredAt = this.#now
    if (silent < SILENCE_MICROS) return
    this.silences += 1
    this.silentMicros += silent
    this.#say('service', `Requests are answered again, after ${seconds(silent)} without an answer.`)
  }

  #look(node: SimNode): void {
    const { replica } = node
    if (replica?.isPrimary && this.#leads.get(node) !== replica.view) {
      this.#leads.set(node, replica.view)
      this.primaries.push({ replica: node.index, view: replica.view, atMicros: this.#now })
    }
    this.#narrator.observe(node)
    this.#listen()
  }

  /** Commits and checkpoints are the ordinary course of things. */
  #listen(): void {
    const { sentences } = this.#narrator
    for (let i = sentences.length - 1; i >= 0; i--) {
      if ((sentences[i]?.id ?? 0) > this.#heard) continue
      for (const { topic, text } of sentences.slice(i + 1)) this.#hear(topic, text)
      break
    }
    if (this.#heard === 0) for (const { topic, text } of sentences) this.#hear(topic, text)
    this.#heard = sentences.at(-1)?.id ?? this.#heard
  }

  #hear(topic: Topic, text: string): void {
    if (topic !== 'commit' && topic !== 'checkpoint') this.#say(topic, text)
  }

  #say(topic: Told['topic'], text: string): void {
    const now = this.#now
    if (topic === 'fault' || topic === 'service') {
      this.told.push({ atMicros: now, topic, text, times: 1, untilMicros: now })
      return
    }
    const alike = common(text) ?? text.replace(NUMBERS, '$1 …').replace(/\d+ left|and none left/, '…')
    const before = this.#recent.get(alike)
    if (before === undefined || now - before.untilMicros >= AGAIN_MICROS) {
      const told: Told = { atMicros: now, topic, text, times: 1, untilMicros: now }
      this.told.push(told)
      this.#recent.set(alike, told)
      return
    }
    before.untilMicros = now
    if (common(text) === null) before.times += 1
    else before.text = together(before.text, text)
  }

  get #now(): number {
    return this.#world?.scheduler.now ?? 0
  }
}

/** Microseconds as people say them. */
export function seconds(micros: number): string {
  return micros < 1_000_000
    ? `${(micros / 1000).toFixed(micros < 10_000 ? 1 : 0)} ms`
    : `${(micros / 1e6).toFixed(1)} s`
}

function readable(what: string): string {
  return what.replace(/(\d+(?:, \d+)*) µs/g, (_, times: string) =>
    times
      .split(', ')
      .map((t) => seconds(Number(t)))
      .join(', '),
  )
}
