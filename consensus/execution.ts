// What committed ops make of the replicated state: the sessions of clients and the state machine. The same on every replica, and
// the same once more for one that makes a checkpoint again from the one before.
import { At, getKey, getU32, getU64 } from '../src/protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../src/protocol/message.ts'
import { type Header, headerOp, headerOperation } from '../storage/header.ts'
import { ClientTable, type Session, type StoredReply } from './client-table.ts'
import type { ExecuteResult, StateMachine } from './ports.ts'

/** Operations that consensus itself executes; all others belong to the state machine. */
export const VsrOperation = {
  register: 1,
  logout: 3,
  /** Gives the place of the replica in `request` to the directory in `session`; see `storage/member.ts`. */
  replace: 4,
  /** After ops may have been lost: names the loss epoch, in `request`. */
  fence: 5,
  rejected: 69,
} as const
/** Below: metadata, numbered in every session. From here: partition operations, numbered only in exactly-once sessions. */
const PARTITION_OPERATION_FIRST = 160

/** Who asked for an op is told what came of it. */
export interface Outcomes {
  registered(header: Header, client: string, userId: number, session: number): void
  answered(header: Header, client: string, result: ExecuteResult, operation: number): void
  /** Of an op that no client asked for. */
  internal(header: Header, result: ExecuteResult): void
}

export interface ExecutionOptions {
  readonly stateMachine: StateMachine
  readonly clientsMax: number
  readonly sessionWindow: number
  readonly outcomes: Outcomes
}

export class Execution {
  readonly clients: ClientTable
  readonly #stateMachine: StateMachine
  readonly #outcomes: Outcomes
  #op = 0

  constructor({ stateMachine, clientsMax, sessionWindow, outcomes }: ExecutionOptions) {
    this.#stateMachine = stateMachine
    this.#outcomes = outcomes
    this.clients = new ClientTable({
      clientsMax,
      window: sessionWindow,
      onEnd: ({ session }) => stateMachine.endSession(session, this.#op),
    })
  }

  /** The ops are executed in their order, each once. */
  execute(prepare: Message, header: Header): void {
    this.#op = headerOp(header)
    const client = getKey(header, At.prepare.client)
    if (isFence(header)) {
      this.#stateMachine.fence(getU64(header, At.prepare.request), this.#op)
      // What they were told may be untrue now: nobody goes on in a session of before.
      this.clients.clear()
    } else if (client !== '0.0.0.0') {
      this.#executeForClient(prepare, header, client)
    } else if (!isReplacement(header)) {
      this.#outcomes.internal(header, this.#stateMachine.execute(prepare))
    }
  }

  #executeForClient(prepare: Message, header: Header, client: string): void {
    const operation = headerOperation(header)
    const number = getU64(header, At.prepare.request)
    const sessionNumber = getU64(header, At.prepare.session)
    if (operation === VsrOperation.register) {
      const userId = getU32(prepare.words, HEADER_SIZE)
      const exactlyOnce = (getU32(prepare.words, HEADER_SIZE + 4) & 1) === 1
      const { session } = this.clients.register(client, this.#op, userId, exactlyOnce)
      this.#outcomes.registered(header, client, userId, session)
      return
    }
    if (operation === VsrOperation.logout) {
      this.clients.logout(client, sessionNumber)
      this.#outcomes.answered(header, client, { status: 0, body: EMPTY }, operation)
      return
    }
    const session = this.clients.get(client)
    const alive = session !== null && session.session === sessionNumber
    const numbered = alive && isNumbered(session, operation)
    if (!alive || (numbered && !this.clients.isOpen(session, number))) {
      // The session ended, or the same request stands twice in the log: it has no effect the second time.
      return
    }
    let answered = operation
    let result: ExecuteResult
    if (operation === VsrOperation.rejected) {
      result = { status: getU32(prepare.words, HEADER_SIZE), body: EMPTY }
      answered = prepare.bytes[HEADER_SIZE + 4] as number
    } else {
      result = this.#stateMachine.execute(prepare)
    }
    const reply: StoredReply | null = numbered
      ? {
          request: number,
          operation: answered,
          status: result.status,
          op: this.#op,
          bodyChecksum: header.slice(At.checksumBody >>> 2, (At.checksumBody >>> 2) + 4),
          body: result.body.slice(),
        }
      : null
    this.clients.commit(client, sessionNumber, this.#op, reply)
    this.#outcomes.answered(header, client, result, answered)
  }

  /** `[size of the clients u32][clients][state]`, the same bytes on every replica. */
  snapshot(): Uint8Array {
    const clients = this.clients.encode()
    const state = this.#stateMachine.snapshot()
    const snapshot = new Uint8Array(4 + clients.length + state.length)
    new DataView(snapshot.buffer).setUint32(0, clients.length, true)
    snapshot.set(clients, 4)
    snapshot.set(state, 4 + clients.length)
    return snapshot
  }

  restore(snapshot: Uint8Array): void {
    this.restoreClients(snapshot)
    this.#stateMachine.restore(stateOf(snapshot))
  }

  restoreClients(snapshot: Uint8Array): void {
    this.clients.restore(snapshot.subarray(4, 4 + clientsSize(snapshot)))
  }
}

/** What of a snapshot is the state machine's. */
export function stateOf(snapshot: Uint8Array): Uint8Array {
  return snapshot.subarray(4 + clientsSize(snapshot))
}

function clientsSize(snapshot: Uint8Array): number {
  return new DataView(snapshot.buffer, snapshot.byteOffset).getUint32(0, true)
}

const EMPTY = new Uint8Array(0)

/** Which requests have a number of their own in their session. */
export function isNumbered(session: Session, operation: number): boolean {
  if (operation === VsrOperation.register || operation === VsrOperation.logout) return false
  return session.exactlyOnce || operation < PARTITION_OPERATION_FIRST
}

/** An op of consensus itself: no client asked for it. */
function isInternal(header: Header, operation: number): boolean {
  return headerOperation(header) === operation && getKey(header, At.prepare.client) === '0.0.0.0'
}

export function isReplacement(header: Header): boolean {
  return isInternal(header, VsrOperation.replace)
}

export function isFence(header: Header): boolean {
  return isInternal(header, VsrOperation.fence)
}
