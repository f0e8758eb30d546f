// Requests that carry a password, or will get a token: what goes into the log is made of them first, beside the data path.
//
//   create user             password ─▶ hash
//   change password         current password ─▶ verified ─▶ the hash it was verified against; new password ─▶ hash
//   create personal access  ─▶ a new token, kept here for the reply, and its digest
//
// One of a connection at a time; what the client sends behind it waits, so that its requests keep their order.
import type { Clock } from '../../consensus/ports.ts'
import { Reader, Writer } from '../protocol/bytes.ts'
import {
  type ChangePassword,
  decodeChangePassword,
  encodeChangePassword,
} from '../protocol/commands/change-password.ts'
import { decodeCreatePersonalAccessToken, encodeTokenEntry } from '../protocol/commands/create-personal-access-token.ts'
import { type CreateUser, decodeCreateUser, encodeCreateUser } from '../protocol/commands/create-user.ts'
import { Status } from '../protocol/errors.ts'
import { At, getU64, setU32 } from '../protocol/frame.ts'
import { HEADER_SIZE, type Message, type MessagePool } from '../protocol/message.ts'
import { Operation } from '../protocol/operations.ts'
import { checkPassword } from '../protocol/secret-rules.ts'
import type { Door } from './door.ts'
import type { Secrets } from './secrets.ts'
import type { StateMachine } from './state-machine.ts'
import type { Throttle } from './throttle.ts'

export interface SecretRequestsOptions {
  readonly state: StateMachine
  readonly pool: MessagePool
  readonly clock: Clock
  readonly secrets: Secrets
  readonly throttle: Throttle
  readonly frameSizeMax: number
}

/** A request of a connection that is being made ready for the log. */
export interface Job {
  readonly door: Door
  message: Message
  readonly operation: number
  /** Goes on; false: not yet, ask again. */
  waits: (() => boolean) | null
}

export interface SecretDesk {
  /** Ready for the log, with its reference. */
  ready(job: Job): void
  /** Refused, with the status that the client gets. */
  refused(job: Job, status: number): void
}

export function carriesSecret(operation: number): boolean {
  return (
    operation === Operation.createUser ||
    operation === Operation.changePassword ||
    operation === Operation.createPersonalAccessToken
  )
}

/** What is wrong with the secret in such a request; throws a ProtocolError. */
export function checkSecretRequest(operation: number, reader: Reader): void {
  if (operation === Operation.createUser) checkPassword(decodeCreateUser(reader).password)
  if (operation === Operation.changePassword) checkPassword(decodeChangePassword(reader).next)
  if (operation === Operation.createPersonalAccessToken) decodeCreatePersonalAccessToken(reader)
}

export class SecretRequests {
  readonly #options: SecretRequestsOptions
  readonly #desk: SecretDesk
  readonly #jobs = new Set<Job>()

  constructor(options: SecretRequestsOptions, desk: SecretDesk) {
    this.#options = options
    this.#desk = desk
  }

  /** The request is whole and allowed. Answers through the desk, perhaps during the call. */
  begin(job: Job): void {
    this.#jobs.add(job)
    const reader = new Reader(job.message.bytes, HEADER_SIZE, job.message.size)
    switch (job.operation) {
      case Operation.createUser:
        return this.#createUser(job, decodeCreateUser(reader))
      case Operation.changePassword:
        return this.#changePassword(job, decodeChangePassword(reader))
      default:
        return this.#createToken(job, reader)
    }
  }

  /** Nobody waits for it any more. Gives the reference back. */
  cancel(job: Job): void {
    if (this.#jobs.delete(job)) job.message.unref()
  }

  retry(): void {
    for (const job of this.#jobs) {
      const { waits } = job
      job.waits = null
      if (waits !== null && !waits()) job.waits = waits
    }
  }

  /** Now, or when there is room. */
  #start(job: Job, begin: () => boolean): void {
    if (!begin()) job.waits = begin
  }

  #refuse(job: Job, status: number): void {
    this.#jobs.delete(job)
    this.#desk.refused(job, status)
  }

  #hash(job: Job, password: string, then: (hash: string) => void): void {
    this.#start(job, () =>
      this.#options.secrets.hash(password, (hash) => {
        if (!this.#jobs.has(job)) return
        if (hash === null) return this.#refuse(job, Status.error)
        then(hash)
      }),
    )
  }

  #createUser(job: Job, request: CreateUser): void {
    this.#hash(job, request.password, (password) =>
      this.#rewrite(job, (writer) => encodeCreateUser(writer, { ...request, password })),
    )
  }

  #changePassword(job: Job, request: ChangePassword): void {
    const { clock, secrets, state, throttle } = this.#options
    const user = state.identity.user(request.user)
    if (user === null) return this.#refuse(job, Status.resourceNotFound)
    const finish = (current: string): void =>
      this.#hash(job, request.next, (next) =>
        this.#rewrite(job, (writer) => encodeChangePassword(writer, { user: user.id, current, next })),
      )
    if (request.current === '' && user.id !== job.door.user) return finish('')
    const { hash, name } = user
    const { address } = job.door.connection
    const dueAt = clock.monotonicMs() + throttle.pause(address, name)
    const verified = (right: boolean | null): void => {
      if (!this.#jobs.has(job)) return
      if (right) return finish(hash)
      if (right === false) throttle.failed(address, name, hash)
      // Changed meanwhile: once more, with the hash that counts.
      if (right === false && state.identity.user(user.id)?.hash !== hash) return this.#changePassword(job, request)
      this.#refuse(job, right === null ? Status.error : Status.invalidCredentials)
    }
    this.#start(job, () => clock.monotonicMs() >= dueAt && secrets.verify(request.current, hash, verified))
  }

  #createToken(job: Job, reader: Reader): void {
    const { secrets } = this.#options
    const request = decodeCreatePersonalAccessToken(reader)
    const token = secrets.newToken()
    job.door.tokens.set(getU64(job.message.words, At.request.request), token)
    this.#rewrite(job, (writer) => encodeTokenEntry(writer, { ...request, digest: secrets.digest(token) }))
  }

  /** Puts the entry of the log in place of what the client sent; nothing of that stays in the buffer. */
  #rewrite(job: Job, write: (writer: Writer) => void): void {
    const writer = new Writer()
    write(writer)
    const body = writer.written()
    const size = HEADER_SIZE + body.length
    if (size > this.#options.frameSizeMax) return this.#refuse(job, Status.commandLengthError)
    const from = job.message
    if (size > from.capacity) {
      const larger = this.#options.pool.acquire(size)
      if (larger === null) {
        job.waits = () => {
          this.#rewrite(job, write)
          return true
        }
        return
      }
      larger.words.set(from.words.subarray(0, HEADER_SIZE / 4))
      job.message = larger
      from.bytes.fill(0, HEADER_SIZE, from.size)
      from.unref()
    } else {
      from.bytes.fill(0, HEADER_SIZE, from.size)
    }
    job.message.bytes.set(body, HEADER_SIZE)
    setU32(job.message.words, At.size, size)
    this.#jobs.delete(job)
    this.#desk.ready(job)
  }
}
