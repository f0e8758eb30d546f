// One history: whichever replica executes an op, at whatever time, in whatever life, it is the same op with the same result;
// every request is executed at most once, and the requests of a session in their order.
import type { ExecuteResult, StateMachine } from '../../consensus/ports.ts'
import { At, equal128, getKey, getU64 } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import { type Header, headerOp } from '../../storage/header.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'

export interface Entry {
  readonly checksum: Uint32Array
  readonly client: string
  readonly request: number
  readonly bodyChecksum: Uint32Array
  /** Hash of what the state machine answered; -1 when it was not asked. */
  result: number
}

/** A node, or a process that does not know that another one has taken its place. */
export type Executor = Pick<SimNode, 'index' | 'generation' | 'replica' | 'journal'>

export class HistoryChecker {
  /** By op; op 0 has no entry. */
  readonly #entries: (Entry | undefined)[] = [undefined]
  readonly #seen = new Map<Executor, { generation: number; op: number }>()
  readonly #executed = new Map<string, number>()
  readonly #lastNumber = new Map<string, number>()
  readonly #lost = new Map<number, Entry[]>()

  /** Told once for each op, by whoever executes it first. */
  onCommitted: (node: Executor, header: Header) => void = () => {}

  /** Told once for each op that a state machine executes, by whoever does so first. */
  onExecuted: (prepare: Message, result: ExecuteResult) => void = () => {}

  /** Which requests have a number of their own in their session; all, in sessions that are exactly-once. */
  isNumbered: (prepare: Message) => boolean = () => true

  get length(): number {
    return this.#entries.length - 1
  }

  entry(op: number): Entry | undefined {
    return this.#entries[op]
  }

  /** What once stood there and was lost: what was said of it may still be on its way. */
  lostEntries(op: number): readonly Entry[] {
    return this.#lost.get(op) ?? []
  }

  /** Durability `memory`: the log goes on from here with other ops, and the cluster has said so. */
  lose(from: number): void {
    for (let op = from; op < this.#entries.length; op++) {
      const entry = this.#entries[op]
      if (entry !== undefined) this.#lost.set(op, [...this.lostEntries(op), entry])
      this.#results.delete(op)
    }
    this.#entries.length = Math.min(this.#entries.length, from)
    this.#lastNumber.clear()
    for (const [request, op] of this.#executed) {
      if (op >= from) {
        this.#executed.delete(request)
        continue
      }
      const at = request.lastIndexOf('/')
      const session = request.slice(0, at)
      const number = Number(request.slice(at + 1))
      this.#lastNumber.set(session, Math.max(this.#lastNumber.get(session) ?? 0, number))
    }
  }

  /** Looks at what a node has executed since it was last looked at. */
  observe(node: Executor): void {
    const { replica, journal } = node
    if (replica === null || journal === null) return
    let seen = this.#seen.get(node)
    if (seen === undefined || seen.generation !== node.generation) {
      seen = { generation: node.generation, op: replica.checkpointOp }
      this.#seen.set(node, seen)
    }
    // What came with another replica's checkpoint was not executed here.
    seen.op = Math.max(seen.op, replica.transferredOp)
    while (seen.op < replica.commitMin) {
      seen.op += 1
      const header = journal.header(seen.op)
      if (header === null) {
        throw new Violation('history', `replica ${node.index} executed op ${seen.op} and does not know its header`)
      }
      this.#compare(node, header)
    }
  }

  #compare(node: Executor, header: Header): void {
    const op = headerOp(header)
    const known = this.#entries[op]
    if (known === undefined) {
      if (op !== this.#entries.length) {
        throw new Violation('history', `replica ${node.index} executed op ${op} before anybody executed op ${op - 1}`)
      }
      this.#entries.push({
        checksum: header.slice(At.checksum >>> 2, (At.checksum >>> 2) + 4),
        client: getKey(header, At.prepare.client),
        request: getU64(header, At.prepare.request),
        bodyChecksum: header.slice(At.checksumBody >>> 2, (At.checksumBody >>> 2) + 4),
        result: -1,
      })
      this.onCommitted(node, header)
      return
    }
    if (!equal128(known.checksum, 0, header, At.checksum)) {
      throw new Violation('history', `op ${op} of replica ${node.index} is not the op ${op} that another one executed`)
    }
  }

  /** The same state machine, watched. */
  watch(node: SimNode, machine: StateMachine): StateMachine {
    return {
      canExecute: () => machine.canExecute(),
      execute: (prepare) => {
        const result = machine.execute(prepare)
        this.#onExecuted(node, prepare, result)
        return result
      },
      endSession: (session, op) => machine.endSession(session, op),
      fence: (epoch, op) => machine.fence(epoch, op),
      lossAfter: (snapshot, epoch) => machine.lossAfter(snapshot, epoch),
      lossWithin: (after, last) => machine.lossWithin(after, last),
      get lossEpoch() {
        return machine.lossEpoch
      },
      snapshot: () => machine.snapshot(),
      restore: (snapshot) => machine.restore(snapshot),
      removeLeftovers: (op) => machine.removeLeftovers(op),
      rehearse: (snapshot) => machine.rehearse(snapshot),
      endRehearsal: () => machine.endRehearsal(),
      flush: (done) => machine.flush(done),
      checkpointDurable: (op) => machine.checkpointDurable(op),
      watchDamage: (listener) => machine.watchDamage(listener),
      scrub: () => machine.scrub(),
      hasSegment: (name) => machine.hasSegment(name),
      segments: (snapshot) => machine.segments(snapshot),
      transfer: (spans, options) => machine.transfer(spans, options),
      readFile: (name, position, bytes, length, done) => machine.readFile(name, position, bytes, length, done),
    }
  }

  #onExecuted(node: SimNode, prepare: Message, result: ExecuteResult): void {
    const op = getU64(prepare.words, At.prepare.op)
    const client = getKey(prepare.words, At.prepare.client)
    const session = getU64(prepare.words, At.prepare.session)
    const number = getU64(prepare.words, At.prepare.request)
    if (this.isNumbered(prepare)) this.#countRequest(`${client}/${session}`, number, op)
    const hash = hashOf(result)
    const known = this.#results.get(op)
    if (known === undefined) {
      this.#results.set(op, hash)
      this.onExecuted(prepare, result)
    } else if (known !== hash) {
      throw new Violation(
        'determinism',
        `replica ${node.index} computed another result for op ${op} than the first one`,
      )
    }
  }

  readonly #results = new Map<number, number>()

  #countRequest(session: string, number: number, op: number): void {
    const request = `${session}/${number}`
    const before = this.#executed.get(request)
    if (before === op) return
    if (before !== undefined)
      throw new Violation('exactly-once', `request ${request} was executed as op ${before} and again as op ${op}`)
    this.#executed.set(request, op)
    const last = this.#lastNumber.get(session) ?? 0
    if (number !== last + 1)
      throw new Violation('session-order', `session ${session} executed request ${number} after ${last}`)
    this.#lastNumber.set(session, number)
  }
}

function hashOf(result: ExecuteResult): number {
  let hash = 0x811c9dc5 ^ result.status
  for (const byte of result.body) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}
