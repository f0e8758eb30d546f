// What the pure core asks of the world. The server plugs sockets and io_uring in, the simulator virtual ones.
import type { Message } from '../src/protocol/message.ts'
import type { DamageListener, SegmentSpan } from '../storage/segment-audit.ts'
import type { SegmentTransfer, TransferOptions } from '../storage/segment-transfer.ts'

/** Sends are fire and forget: the bus takes its own references, may drop, and promises no delivery. */
export interface Bus {
  sendToReplica(replica: number, message: Message): void
  /** To whichever connection the client speaks through now, if any. `client` is `getKey` of its id. */
  sendToClient(client: string, message: Message): void
}

export interface Clock {
  /** Milliseconds, never goes back; has no relation to wall time. */
  monotonicMs(): number
  /** Microseconds since 1970, below 2^53; may jump. */
  wallMicros(): number
}

export interface Random {
  /** Uniform in [0, bound). */
  below(bound: number): number
}

export interface Log {
  debug(code: string, fields?: Readonly<Record<string, unknown>>): void
  info(code: string, fields?: Readonly<Record<string, unknown>>): void
  warn(code: string, fields?: Readonly<Record<string, unknown>>): void
  error(code: string, fields?: Readonly<Record<string, unknown>>): void
}

/** What executing a committed op answers: a status (0 = ok) and a body, valid until the next execute. */
export interface ExecuteResult {
  status: number
  body: Uint8Array
}

/** What a transfer asks of its owner. */
export type TransferRequest = Pick<TransferOptions, 'blockSize' | 'live' | 'kept' | 'fetch' | 'onSpan' | 'done'>
export type Transfer = Pick<SegmentTransfer, 'start' | 'supply' | 'cancel' | 'writing' | 'position'>

/** The replicated state machine as the replica sees it. Everything here is deterministic in the order of ops. */
export interface StateMachine {
  /** False while too many bytes wait for the disk; the replica asks again on every tick and disk completion. */
  canExecute(): boolean
  execute(prepare: Message): ExecuteResult
  /** A client's session ended by the execution of `op`: it will ask for nothing any more. Part of the state, as ops are. */
  endSession(session: number, op: number): void
  /** The cluster may have lost acknowledged ops that stood here, as its loss number `epoch` says. Part of the state from now on. */
  fence(epoch: number, op: number): void
  /** Of the last fence; 0 when there was none. */
  readonly lossEpoch: number
  /** The op with which a snapshot's state was told of the first loss after `epoch`; 0 when it was told of none. */
  lossAfter(snapshot: Uint8Array, epoch: number): number
  /** Was the state told of a loss by one of the ops above `after`, up to `last`? */
  lossWithin(after: number, last: number): boolean
  /** The state after the last executed op, as bytes that are the same on every replica. Pads segment tails first. */
  snapshot(): Uint8Array
  /** Takes the place of whatever the state was. The files that the snapshot refers to are on this disk, durable. */
  restore(snapshot: Uint8Array): void
  /**
   * The durable checkpoint at `op`, which is part of the state, is another replica's or follows a loss: files of a state before it, of
   * a checkpoint that was given up for it, or of ops that were lost may be on the disk, and nobody names them. They are gone before
   * the next `flush` is done. What only the checkpoint names, for it was dropped since, stays.
   */
  removeLeftovers(op: number): void
  /**
   * As `restore`, or with null the state before the first op, to execute once more what followed: until `endRehearsal` nothing is
   * written, read or removed, and nothing has to wait for the disk. False: another release wrote it, which this one cannot read.
   */
  rehearse(snapshot: Uint8Array | null): boolean
  /** Back to the state before the first op, and to the disk. */
  endRehearsal(): void
  /** The files that a snapshot refers to. */
  segments(snapshot: Uint8Array): readonly SegmentSpan[]
  /** Brings such files onto this disk; begins with `start`. Unless it is `live`, nothing is executed or flushed until it has ended. */
  transfer(spans: readonly SegmentSpan[], options: TransferRequest): Transfer
  /** Who is told when a reader or the scrubber comes across damage in what a durable checkpoint counts. */
  watchDamage(listener: DamageListener): void
  /** One read of all that a durable checkpoint counts, one segment after the other, unless one is under way; round after round. */
  scrub(): 'more' | 'round-ended'
  /** Is this segment still one of a partition? */
  hasSegment(name: string): boolean
  /** Bytes of a file that a durable checkpoint refers to, for a replica that lacks them; `bytes` is aligned memory. */
  readFile(name: string, position: number, bytes: Uint8Array, length: number, done: (good: boolean) => void): void
  /** Makes all segment data that the last snapshot refers to durable. */
  flush(done: (result: 'ok' | 'failed' | 'full') => void): void
  /** A checkpoint at `op` is durable: files that only older states refer to may go. */
  checkpointDurable(op: number): void
}
