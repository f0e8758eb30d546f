// What goes wrong for users of the SDK. `code` is for programs, the message says what, where and what to do next.
import { statusName, statusSentence } from '../protocol/errors.ts'

export type GalgoErrorCode =
  /** The server refused the request; `status` says why. */
  | 'refused'
  /** No server could be reached, or none of them led the cluster, within the time given. */
  | 'no-connection'
  | 'invalid-credentials'
  /** No answer in time. A write may or may not have happened. */
  | 'timeout'
  /** The session ended on the server: what was unanswered may or may not have happened. */
  | 'session-lost'
  /** The client, producer or consumer was closed. */
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

export class GalgoError extends Error {
  override readonly name = 'GalgoError'
  readonly code: GalgoErrorCode
  /** Number of the status that a server answered with; undefined when none did. */
  readonly status: number | undefined

  constructor(code: GalgoErrorCode, message: string, options: { status?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.status = options.status
  }
}

/** A status other than 0. `what` names the request. */
export function refused(status: number, what: string): GalgoError {
  return new GalgoError('refused', `${what}: ${statusSentence(status)} (status ${status}, ${statusName(status)})`, {
    status,
  })
}
