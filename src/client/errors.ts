// What goes wrong for users of the SDK. `code` is for programs, the message says what, where and what to do next.
import { Status, statusName, statusSentence } from '../protocol/errors.ts'

export type GalgoErrorCode =
  /** The server refused the request; `status` says why. */
  | 'refused'
  /** No server could be reached, or none of them led the cluster, within the time given. */
  | 'no-connection'
  | 'invalid-credentials'
  /** No answer in time. A write may or may not have happened, unless the error says that it was `unsent`. */
  | 'timeout'
  /** The session ended on the server: what was unanswered may or may not have happened. */
  | 'session-lost'
  /** The client, producer or consumer was closed; of a write as with `timeout`. */
  | 'closed'
  /** A server sent bytes that are not the protocol. */
  | 'protocol'
  /** A producer holds as much as it may: await earlier sends. */
  | 'buffer-full'
  | 'message-too-large'
  /** An argument that can never be right. */
  | 'invalid-argument'
  /** Stored messages do not have the checksums they claim. */
  | 'corrupt-message'
  /** Durability `memory`: a power cut may have cost messages that this consumer has seen; a TruncatedError says from where. */
  | 'log-truncated'

export class GalgoError extends Error {
  override readonly name = 'GalgoError'
  readonly code: GalgoErrorCode
  /** Number of the status that a server answered with; undefined when none did. */
  readonly status: number | undefined
  /** No server was ever sent the request: it was certainly not executed. False says nothing. */
  readonly unsent: boolean

  constructor(
    code: GalgoErrorCode,
    message: string,
    options: { status?: number; cause?: unknown; unsent?: boolean } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.status = options.status
    this.unsent = options.unsent ?? false
  }
}

/** The same, of a request that was never sent. */
export function asUnsent({ code, message, status, cause }: GalgoError): GalgoError {
  return new GalgoError(code, message, { ...(status === undefined ? {} : { status }), cause, unsent: true })
}

/** The first offset of a partition whose message may be something else now. */
export interface TruncatedPartition {
  readonly partition: number
  readonly offset: number
}

/** The log goes on with other messages than those that were read: from `offset` on, since the loss with number `epoch`. */
export class TruncatedError extends GalgoError {
  readonly epoch: number
  /** Of the partition that was read; of a group consumer, of the first of its partitions. */
  readonly offset: number
  /** Of a group consumer: all that it had read from and where that is so, also those that are not its own any more. */
  readonly partitions: readonly TruncatedPartition[]

  constructor(epoch: number, offset: number, partitions: readonly TruncatedPartition[] = []) {
    const where =
      partitions.length === 0
        ? `offset ${offset} on`
        : partitions.map((one) => `offset ${one.offset} of partition ${one.partition} on`).join(', ')
    super(
      'log-truncated',
      `a power cut may have cost the messages from ${where} that were read before; what stands there now is something else. Undo what was made of them, and read again from there`,
      { status: Status.logTruncated },
    )
    this.epoch = epoch
    this.offset = offset
    this.partitions = partitions
  }
}

/** A status other than 0. `what` names the request. */
export function refused(status: number, what: string): GalgoError {
  return new GalgoError('refused', `${what}: ${statusSentence(status)} (status ${status}, ${statusName(status)})`, {
    status,
  })
}
