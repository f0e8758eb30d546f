// From any error to one sentence and an exit code. What a user can do something about never shows a stack trace; a defect
// does, because it is what its report needs.
import { Status, statusName, statusSentence } from '../protocol/errors.ts'
import { ExitCode } from './exit-codes.ts'

/** A failure that a command found itself. The message says what, where and the next step. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly code: string
  readonly exitCode: ExitCode

  constructor(code: string, message: string, exitCode: ExitCode = ExitCode.failed, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.exitCode = exitCode
  }
}

export const usage = (message: string): CliError => new CliError('usage', message, ExitCode.usage)

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

export interface Failure {
  readonly code: string
  readonly message: string
  readonly exitCode: number
  /** Only for defects. */
  readonly stack?: string
}

const NOT_FOUND: ReadonlySet<number> = new Set([
  Status.resourceNotFound,
  Status.streamIdNotFound,
  Status.topicIdNotFound,
  Status.partitionNotFound,
  Status.noPartitions,
  Status.consumerOffsetNotFound,
  Status.consumerGroupIdNotFound,
])
const EXISTS: ReadonlySet<number> = new Set([
  Status.streamNameAlreadyExists,
  Status.topicNameAlreadyExists,
  Status.consumerGroupNameAlreadyExists,
  Status.userAlreadyExists,
  Status.personalAccessTokenAlreadyExists,
])
const REFUSED: ReadonlySet<number> = new Set([
  Status.unauthenticated,
  Status.unauthorized,
  Status.invalidCredentials,
  Status.userInactive,
])
/** What to do about it, after the sentence. */
const NEXT_STEPS: ReadonlyMap<number, string> = new Map([
  [Status.streamIdNotFound, 'See them with: galgo stream list'],
  [Status.streamNameNotFound, 'See them with: galgo stream list'],
  [Status.topicIdNotFound, 'See them with: galgo topic list STREAM'],
  [Status.topicNameNotFound, 'See them with: galgo topic list STREAM'],
  [Status.partitionNotFound, 'See them with: galgo topic get STREAM TOPIC'],
  [Status.consumerGroupIdNotFound, 'See them with: galgo group list STREAM TOPIC'],
  [Status.consumerGroupNameNotFound, 'See them with: galgo group list STREAM TOPIC'],
  [Status.unauthorized, 'See your rights with: galgo user get NAME; whoever manages users can give more'],
])
const CANNOT_CONNECT: ReadonlySet<string> = new Set(['no-connection', 'timeout'])

/** Errors that say `name` and `code` on purpose: the SDK's and the server's. Everything else is a defect or the system's. */
const EXPECTED: ReadonlySet<string> = new Set(['CliError', 'GalgoError', 'ServerError', 'ProtocolError'])

/** `running` names the command, for refusals whose sentence does not say what was refused. */
export function explain(error: unknown, running = 'galgo'): Failure {
  if (!(error instanceof Error)) return { code: 'failed', message: String(error), exitCode: ExitCode.failed }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'failed'
  const message = error.message
  if (error.name === 'AbortError')
    return { code: 'interrupted', message: 'interrupted', exitCode: ExitCode.interrupted }
  if (error instanceof CliError) return { code, message, exitCode: error.exitCode }
  if (code === 'refused' && 'status' in error && typeof error.status === 'number') {
    const next = NEXT_STEPS.get(error.status)
    const sentence = `${statusSentence(error.status)}${next === undefined ? '' : ` ${next}`}`
    return { code: statusName(error.status), message: `${running}: ${sentence}`, exitCode: exitCodeOf(error, code) }
  }
  if (EXPECTED.has(error.name)) return { code, message, exitCode: exitCodeOf(error, code) }
  if ('syscall' in error) return { code, message, exitCode: ExitCode.failed }
  return {
    code: 'defect',
    message,
    exitCode: ExitCode.failed,
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  }
}

function exitCodeOf(error: Error, code: string): number {
  const status = 'status' in error && typeof error.status === 'number' ? error.status : 0
  if (NOT_FOUND.has(status)) return ExitCode.notFound
  if (EXISTS.has(status)) return ExitCode.exists
  if (REFUSED.has(status) || code === 'invalid-credentials') return ExitCode.refused
  if (CANNOT_CONNECT.has(code)) return ExitCode.cannotConnect
  return ExitCode.failed
}

export function printFailure(failure: Failure, json: boolean, err: (text: string) => void): void {
  if (json) {
    const { code, message, exitCode } = failure
    err(`${JSON.stringify({ error: { code, message, exitCode } })}\n`)
    return
  }
  if (failure.stack === undefined) {
    err(`galgo: ${failure.message}\n`)
    return
  }
  err(`galgo: a defect in galgo, please report it with the lines below\n${failure.stack}\n`)
}
