// A client of a scenario: it asks when and whom the test says, remembers every answer, and holds them against each other.
import assert from 'node:assert/strict'
import type { SimClient } from '../../../simulator/client.ts'
import type { World } from '../../../simulator/world.ts'
import { At, Command, getKey, getU32, getU64, setU32, setU64 } from '../../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../../src/protocol/message.ts'
import type { SubmitOutcome } from '../../../src/state/replica-port.ts'

const REGISTER = 1
export const METADATA_OPERATION = 64

export interface Asked {
  readonly number: number
  readonly operation: number
  readonly frame: Uint8Array
}

/** A client that asks when and whom the test says. */
export class ScenarioClient {
  readonly index: number
  readonly id: Uint32Array
  readonly key: string
  session = 0
  number = 0
  unanswered: Asked[] = []
  /** Op and answer by request number. */
  readonly answers = new Map<number, { op: number; body: string }>()
  readonly refusals: SubmitOutcome[] = []
  /** Nodes that its requests do not reach, and whose replies do not reach it. */
  readonly cannotReach = new Set<number>()
  readonly cannotHear = new Set<number>()
  readonly #world: World
  readonly #exactlyOnce: boolean

  constructor(world: World, index: number, exactlyOnce: boolean) {
    this.#world = world
    this.#exactlyOnce = exactlyOnce
    this.index = index
    this.id = Uint32Array.of(index + 1, 0x51, 0x52, 0x53)
    this.key = getKey(this.id, 0)
  }

  get idle(): boolean {
    return this.unanswered.length === 0
  }

  /** Takes up where that one, all of whose requests are answered, is. */
  follow(past: ScenarioClient): void {
    assert.ok(past.idle)
    this.session = past.session
    this.number = past.number
    for (const [number, answer] of past.answers) this.answers.set(number, answer)
  }

  /** Asks for a session: the one that it has, or another. */
  register(): void {
    this.ask(REGISTER, Uint8Array.of(0, 0, 0, 0, this.#exactlyOnce ? 1 : 0, 0, 0, 0))
  }

  /** A request more, sent to every node once. Its number. */
  ask(operation = METADATA_OPERATION, body?: Uint8Array): number {
    if (operation !== REGISTER) this.number += 1
    const number = operation === REGISTER ? 0 : this.number
    const content = body ?? Uint8Array.of(this.index, number & 0xff, number >>> 8)
    const frame = new Uint8Array(HEADER_SIZE + content.length)
    const words = new Uint32Array(frame.buffer, 0, HEADER_SIZE / 4)
    setU32(words, At.size, frame.length)
    frame[At.command] = Command.request
    words.set(this.id, At.request.client >>> 2)
    setU64(words, At.request.request, number)
    frame[At.request.operation] = operation
    setU64(words, At.request.session, this.session)
    words[At.request.requestChecksum >>> 2] = number
    frame.set(content, HEADER_SIZE)
    const asked = { number, operation, frame }
    this.unanswered.push(asked)
    this.#send(asked)
    return number
  }

  /** Everything unanswered again, in order. */
  resend(): void {
    for (const asked of this.unanswered) this.#send(asked)
  }

  /** What was asked last. */
  asked(): Asked {
    return this.unanswered[this.unanswered.length - 1] as Asked
  }

  /** An answered request again: what comes must be the first answer. */
  repeat(asked: Asked): void {
    this.#send(asked)
  }

  #send(asked: Asked): void {
    for (const node of this.#world.nodes) {
      if (node.alive && !this.cannotReach.has(node.index)) node.onRequest(asked.frame)
    }
  }

  onReply(frame: Uint8Array): void {
    if (this.cannotHear.has(frame[At.replica] as number)) return
    const words = new Uint32Array(frame.buffer, frame.byteOffset, HEADER_SIZE / 4)
    const number = getU64(words, At.reply.request)
    const op = getU64(words, At.reply.op)
    const operation = frame[At.reply.operation] as number
    const body = frame.subarray(HEADER_SIZE)
    const asked = this.unanswered.find((r) => r.number === number && r.operation === operation)
    const answer = { op, body: body.join() }
    if (operation === REGISTER) {
      if (asked === undefined) return
      const view = new DataView(body.buffer, body.byteOffset, body.length)
      const session = view.getUint32(8, true)
      if (session !== this.session) {
        this.session = session
        this.number = 0
        this.answers.clear()
      }
    } else {
      const first = this.answers.get(number)
      if (first !== undefined) assert.deepEqual(answer, first, `request ${number} was answered twice, differently`)
      this.answers.set(number, answer)
    }
    if (asked === undefined) return
    this.unanswered = this.unanswered.filter((r) => r !== asked)
    if (operation === REGISTER) return
    this.#world.acknowledged.onAcknowledged(this as unknown as SimClient, {
      request: { client: this.index, sentAt: 0, ...asked },
      op,
      status: getU32(words, At.reply.status),
      body,
    })
  }

  onRefused(number: number, outcome: SubmitOutcome): void {
    if (this.unanswered.some((r) => r.number === number)) this.refusals.push(outcome)
  }
}
