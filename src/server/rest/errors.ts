// How a request is refused: an HTTP status and a body that says why, `{"id", "code", "reason", "field"}`. `id` and `code` are
// number and name of the same status that a binary client gets; where there is none, the number of the HTTP status.
import { GalgoError } from '../../client/errors.ts'
import { ProtocolError } from '../../protocol/bytes.ts'
import { Status, statusName, statusSentence } from '../../protocol/errors.ts'
import { snakeCase } from './shapes.ts'

/** Seconds: an election takes less. */
const RETRY_AFTER = '1'

export interface Refusal {
  readonly http: number
  readonly id: number
  readonly code: string
  readonly reason: string
  readonly field: string | null
}

export class RestError extends Error {
  override readonly name = 'RestError'
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.reason)
    this.refusal = refusal
  }
}

const HTTP: Readonly<Record<number, number>> = {
  [Status.unauthenticated]: 401,
  [Status.accessTokenMissing]: 401,
  [Status.invalidPersonalAccessToken]: 401,
  [Status.unauthorized]: 403,
  [Status.resourceNotFound]: 404,
  [Status.clientNotFound]: 404,
  [Status.streamIdNotFound]: 404,
  [Status.streamNameNotFound]: 404,
  [Status.topicIdNotFound]: 404,
  [Status.topicNameNotFound]: 404,
  [Status.partitionNotFound]: 404,
  [Status.consumerOffsetNotFound]: 404,
  [Status.segmentNotFound]: 404,
  [Status.consumerGroupIdNotFound]: 404,
  [Status.consumerGroupNameNotFound]: 404,
  [Status.consumerGroupMemberNotFound]: 404,
  [Status.requestAlreadyApplied]: 409,
  [Status.commandLengthError]: 413,
  [Status.error]: 500,
  [Status.transientNotCommitted]: 503,
  [Status.transientNotAccepted]: 503,
  /** The disk is full. */
  [Status.cannotAppendMessage]: 503,
}

const FIELD: Readonly<Record<number, string>> = {
  [Status.streamIdNotFound]: 'stream_id',
  [Status.topicIdNotFound]: 'topic_id',
  [Status.partitionNotFound]: 'partition_id',
  [Status.segmentNotFound]: 'segment_id',
  [Status.clientNotFound]: 'client_id',
  [Status.invalidStreamName]: 'name',
  [Status.streamNameAlreadyExists]: 'name',
  [Status.invalidTopicName]: 'name',
  [Status.topicNameAlreadyExists]: 'name',
  [Status.invalidConsumerGroupName]: 'name',
  [Status.consumerGroupNameAlreadyExists]: 'name',
  [Status.personalAccessTokenAlreadyExists]: 'name',
  [Status.invalidPersonalAccessTokenName]: 'name',
  [Status.invalidOffset]: 'offset',
  [Status.invalidUsername]: 'username',
  [Status.userAlreadyExists]: 'username',
  [Status.invalidPassword]: 'password',
}

/** A status of the wire protocol. */
export function refusalOf(status: number, reason = statusSentence(status), field = FIELD[status] ?? null): Refusal {
  return { http: HTTP[status] ?? 400, id: status, code: snakeCase(statusName(status)), reason, field }
}

export function refuse(status: number, reason?: string, field?: string): RestError {
  return new RestError(refusalOf(status, reason, field))
}

/** What only HTTP knows. */
export function refuseHttp(http: number, code: string, reason: string): RestError {
  return new RestError({ http, id: http, code, reason, field: null })
}

export function notFound(): RestError {
  return refuseHttp(404, 'not_found', 'Resource not found')
}

/** Whatever a handler threw. */
export function explain(error: unknown): Refusal {
  if (error instanceof RestError) return error.refusal
  if (error instanceof ProtocolError) return refusalOf(error.status, error.message)
  if (!(error instanceof GalgoError)) return refusalOf(Status.error)
  switch (error.code) {
    case 'refused':
    case 'invalid-credentials':
      return refusalOf(error.status ?? Status.error)
    default:
      return refusalOf(Status.error, error.message)
  }
}

export function answerOf({ http, id, code, reason, field }: Refusal): Response {
  const headers: Record<string, string> = { 'Content-Type': 'application/json' }
  if (http === 503 || http === 429) headers['Retry-After'] = RETRY_AFTER
  if (http === 401) headers['WWW-Authenticate'] = 'Bearer'
  // The rest of the body is read by nobody.
  if (http === 413) headers.Connection = 'close'
  return new Response(JSON.stringify({ id, code, reason, field }), { status: http, headers })
}
