// One question at a time over a line, and what becomes of it: an answer, or none. In a session that is exactly-once a write that
// is not answered is asked again at the next node, under its number, until it is, or until the session is gone.
import { Reader } from '../src/protocol/bytes.ts'
import { Consistency } from '../src/protocol/consistency.ts'
import { Status } from '../src/protocol/errors.ts'
import { isResultFramed, Operation } from '../src/protocol/operations.ts'
import { readResult } from '../src/protocol/result.ts'
import type { Doors, parseReply } from './doors.ts'
import { type Credentials, Line } from './line.ts'
import type { SeededRandom } from './random.ts'
import type { Scheduler } from './scheduler.ts'

/** Numbers of questions that are no writes. */
const READS_FROM = 1_000_000

export interface Question {
  readonly operation: number
  readonly code: number
  readonly linearizable: boolean
  readonly body: Uint8Array
  /** Status 0 or another one, and the body after its result section. */
  readonly answered: (status: number, body: Uint8Array) => void
  /** It was sent, and never will be. */
  readonly lost: () => void
}

export interface SessionOptions {
  readonly doors: Doors
  readonly scheduler: Scheduler
  /** Microseconds without an answer until it turns to another node. */
  readonly patience: number
  readonly random: SeededRandom
  readonly nodeCount: number
  readonly exactlyOnce: boolean
  /** The client's id of the n-th login; always the first one in a session that goes on elsewhere. */
  readonly client: (login: number) => Uint32Array
  /** A login has led to another session than before. */
  readonly onSession: () => void
  readonly credentials?: () => Credentials
  readonly address?: string
  /** The node has ended the session, or has let nobody in. */
  readonly onEvicted?: (reason: number) => void
}

export class Session {
  readonly #options: SessionOptions
  readonly #line: Line
  #logins = 0
  #asked: Question | null = null
  #askedAt = 0
  /** Of the question; 0 before it is sent. */
  #request = 0
  #writes = 0
  #reads = 0
  /** Its number; 0 before the first login. */
  number = 0
  #lossEpoch = 0

  constructor(options: SessionOptions) {
    const { exactlyOnce, client } = options
    this.#options = options
    this.#line = new Line(
      {
        ...options,
        consistency: 'primary',
        client: () => {
          if (!exactlyOnce) this.#logins += 1
          return client(this.#logins)
        },
      },
      {
        onReady: () => this.#onReady(),
        onReply: (reply, body) => this.#onReply(reply, body),
        onEvicted: (reason) => options.onEvicted?.(reason),
        onLeft: () => {
          if (!exactlyOnce || this.#asked?.operation === Operation.nonReplicated) this.#lose()
        },
      },
    )
  }

  /** A question has no answer yet. */
  get waits(): boolean {
    return this.#asked !== null
  }

  ask(question: Question): void {
    this.#asked = question
    this.#askedAt = this.#options.scheduler.now
    this.#request = 0
    if (this.#line.connect() && this.#line.ready) this.#send()
  }

  /** What is asked has no answer yet: connects again where it has to, to another node after a while. */
  pursue(): void {
    const { scheduler, patience } = this.#options
    if (this.#asked !== null && scheduler.now - this.#askedAt >= patience) {
      this.#askedAt = scheduler.now
      this.#line.leave()
    }
    if (this.#asked !== null) this.#line.connect()
  }

  /** Away from this node. */
  leave(): void {
    this.#line.leave()
  }

  /** Nobody waits for the answer any more. */
  giveUp(): void {
    this.#lose()
  }

  hangUp(): void {
    this.#line.hangUp()
  }

  #send(): void {
    if (this.#asked === null) return
    const { operation, code, linearizable, body } = this.#asked
    if (this.#request === 0) {
      // Only writes are numbered without gaps.
      if (operation === Operation.nonReplicated) this.#request = READS_FROM + ++this.#reads
      else this.#request = ++this.#writes
    }
    const consistency = linearizable ? Consistency.linearizable : Consistency.primary
    this.#line.request({ request: this.#request, operation, code, consistency, body })
  }

  #onReady(): void {
    const { session, lossEpoch } = this.#line
    // After a loss, the next session may have the number of the one before.
    if (session !== this.number || lossEpoch !== this.#lossEpoch) {
      // What was asked in the session before was executed, or never will be.
      this.number = session
      this.#lossEpoch = lossEpoch
      this.#writes = 0
      if (this.#request > 0) this.#lose()
      this.#options.onSession()
    }
    this.#send()
  }

  #lose(): void {
    const asked = this.#asked
    this.#asked = null
    if (asked !== null && this.#request > 0) asked.lost()
  }

  #onReply({ status, operation, request }: NonNullable<ReturnType<typeof parseReply>>, body: Uint8Array): void {
    const asked = this.#asked
    if (asked === null || this.#request !== request || asked.operation !== operation) return
    this.#asked = null
    if (status !== Status.ok || !isResultFramed(operation, body.length)) return asked.answered(status, body)
    const reader = new Reader(body)
    const result = readResult(reader)
    asked.answered(result, body.subarray(reader.position))
  }
}
