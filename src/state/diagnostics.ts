// Requests for an archive for support. It is made beside the data path, one at a time; here is who may ask, and how the answer
// finds its way.
import { ProtocolError, Reader } from '../protocol/bytes.ts'
import type { ClusterMetadata } from '../protocol/commands/cluster-metadata.ts'
import { decodeSnapshot, type SnapshotRequest } from '../protocol/commands/snapshot.ts'
import type { Stats } from '../protocol/commands/stats.ts'
import { Status } from '../protocol/errors.ts'
import { HEADER_SIZE, type Message, type MessagePool } from '../protocol/message.ts'
import { Code } from '../protocol/operations.ts'
import { ruleOfCode } from './access.ts'
import { authorize } from './authorize.ts'
import type { Door } from './door.ts'
import type { Reads } from './reads.ts'
import { echoOf, type RequestEcho, writeReplyHeader } from './replies.ts'
import type { StateMachine } from './state-machine.ts'

/** An archive is not larger than this, whatever a frame may hold: nobody else should wait for it. */
const ARCHIVE_SIZE_MAX = 1024 * 1024

/** What the state can say; the rest is known to whoever makes the archive. */
export interface DiagnosticsOrder extends SnapshotRequest {
  /** Bytes that the archive may have. */
  readonly sizeMax: number
  readonly stats: Stats
  readonly cluster: ClusterMetadata
}

export interface Diagnostics {
  /** Calls back later, never during the call; null: it could not be made. False: one is being made already, and nothing will be called. */
  collect(order: DiagnosticsOrder, done: (archive: Uint8Array | null) => void): boolean
}

export interface DiagnosticRequestsOptions {
  readonly diagnostics: Diagnostics
  readonly state: StateMachine
  readonly pool: MessagePool
  readonly frameSizeMax: number
}

export class DiagnosticRequests {
  readonly #options: DiagnosticRequestsOptions
  readonly #reads: Reads
  readonly #refuse: (door: Door, echo: RequestEcho, status: number) => void

  constructor(
    options: DiagnosticRequestsOptions,
    reads: Reads,
    refuse: (door: Door, echo: RequestEcho, status: number) => void,
  ) {
    this.#options = options
    this.#reads = reads
    this.#refuse = refuse
  }

  /** Takes over the reference. */
  take(door: Door, message: Message): void {
    const echo = echoOf(message)
    const status = this.#begin(door, message, echo)
    message.unref()
    if (status !== Status.ok) this.#refuse(door, echo, status)
  }

  #begin(door: Door, message: Message, echo: RequestEcho): number {
    const { diagnostics, state, frameSizeMax } = this.#options
    const reader = new Reader(message.bytes, HEADER_SIZE, message.size)
    const denied = authorize(state, door.user, ruleOfCode(Code.snapshot), reader)
    if (denied !== Status.ok) return denied
    try {
      const order = {
        ...decodeSnapshot(reader),
        sizeMax: Math.min(ARCHIVE_SIZE_MAX, frameSizeMax - HEADER_SIZE),
        stats: this.#reads.stats(),
        cluster: this.#reads.cluster(door),
      }
      const begun = diagnostics.collect(order, (archive) => this.#answer(door, echo, archive))
      return begun ? Status.ok : Status.snapshotFileCompletionFailed
    } catch (error) {
      if (error instanceof ProtocolError) return error.status
      throw error
    }
  }

  #answer(door: Door, echo: RequestEcho, archive: Uint8Array | null): void {
    if (door.gone) return
    const { pool, frameSizeMax } = this.#options
    if (archive === null || HEADER_SIZE + archive.length > frameSizeMax)
      return this.#refuse(door, echo, Status.snapshotFileCompletionFailed)
    const reply = pool.acquire(HEADER_SIZE + archive.length)
    if (reply === null) return this.#refuse(door, echo, Status.transientNotAccepted)
    writeReplyHeader(reply, echo, Status.ok, archive.length)
    reply.bytes.set(archive, HEADER_SIZE)
    door.send(reply)
    reply.unref()
  }
}
