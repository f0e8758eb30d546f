// A client as those of Apache Iggy are, but for one thing: it never looks for who leads. One request at a time; what is answered
// with 57 or 58 is sent again 50 ms later, byte for byte.
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { Reader, Writer } from '../../src/protocol/bytes.ts'
import { encodeRegister, PROTOCOL_VERSION } from '../../src/protocol/commands/register.ts'
import { Status } from '../../src/protocol/errors.ts'
import { At, Command, getU32, getU64 } from '../../src/protocol/frame.ts'
import { FrameReader } from '../../src/protocol/frame-reader.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import { isPartition, Operation } from '../../src/protocol/operations.ts'
import { readResult } from '../../src/protocol/result.ts'
import { requestFrame } from '../state/request-frame.ts'
import { CREDENTIALS } from './processes.ts'

const AGAIN_MS = 50
/** What SDKs wait for an answer. */
const PATIENCE_MS = 30_000

export interface Done {
  /** Of the reply, or in its result section. */
  readonly status: number
  readonly body: Uint8Array
  /** It was told 57 in between: a write without a number of its own may be there twice. */
  readonly doubtful: boolean
}

export class StayingClient {
  readonly #socket: Socket
  readonly #id: number
  #session = 0
  #request = 0
  #answered: ((frame: Uint8Array) => void) | null = null
  #lost: ((error: Error) => void) | null = null
  /** The longest that one answer took, ms. */
  slowest = 0

  private constructor(socket: Socket, id: number) {
    this.#socket = socket
    this.#id = id
    const reader = new FrameReader((frame) => {
      const answered = this.#answered
      assert.ok(answered !== null, 'an answer to nothing')
      this.#answered = null
      answered(frame.slice())
    })
    socket.on('data', (bytes) => assert.ok(reader.push(bytes)))
    socket.on('error', () => {})
    socket.on('close', () => this.#lost?.(new Error('the connection ended without an answer')))
  }

  static async login(server: string, id: number): Promise<StayingClient> {
    const [host, port] = server.split(':') as [string, string]
    const socket = connect({ host, port: Number(port), noDelay: true })
    await new Promise<void>((connected, failed) => socket.once('connect', connected).once('error', failed))
    const client = new StayingClient(socket, id)
    const writer = new Writer()
    const version = { protocolVersion: PROTOCOL_VERSION, sdkName: 'test', sdkVersion: '0', context: '' }
    encodeRegister(writer, { kind: 'password', ...version, ...CREDENTIALS })
    const { status, body } = await client.#repeat({
      operation: Operation.register,
      request: 0,
      session: 0,
      body: writer.written(),
    })
    assert.equal(status, Status.ok)
    const reply = new Reader(body)
    reply.skip(8)
    client.#session = reply.u64()
    return client
  }

  get session(): number {
    return this.#session
  }

  async write(operation: number, body: Uint8Array): Promise<Done> {
    if (!isPartition(operation)) this.#request += 1
    return await this.#repeat({ operation, request: Math.max(1, this.#request), session: this.#session, body })
  }

  async read(code: number, body: Uint8Array = new Uint8Array(0)): Promise<Done> {
    return await this.#repeat({ code, request: this.#request, session: this.#session, body })
  }

  close(): void {
    this.#lost = null
    this.#socket.destroy()
  }

  async #repeat(ask: Parameters<typeof requestFrame>[0]): Promise<Done> {
    const frame = requestFrame({ client: this.#id, ...ask })
    const giveUp = performance.now() + PATIENCE_MS
    let doubtful = false
    for (;;) {
      const answer = await this.#exchange(frame)
      const words = new Uint32Array(answer.buffer, 0, HEADER_SIZE / 4)
      assert.equal(answer[At.command], Command.reply, `evicted for reason ${answer[At.eviction.reason]}`)
      assert.equal(answer[At.reply.operation], ask.operation ?? Operation.nonReplicated)
      assert.equal(getU64(words, At.reply.request), ask.request)
      const status = getU32(words, At.reply.status)
      const again = status === Status.transientNotCommitted || status === Status.transientNotAccepted
      doubtful ||= status === Status.transientNotCommitted
      if (!again)
        return { status: status === 0 ? outcome(answer) : status, body: answer.subarray(HEADER_SIZE), doubtful }
      assert.ok(performance.now() < giveUp, `nothing but ${status} for ${PATIENCE_MS} ms`)
      await pause(AGAIN_MS)
    }
  }

  async #exchange(frame: Uint8Array): Promise<Uint8Array> {
    const from = performance.now()
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    this.#answered = resolve
    this.#lost = reject
    this.#socket.write(frame)
    const answer = await promise
    this.slowest = Math.max(this.slowest, performance.now() - from)
    return answer
  }
}

/** What the result section says, where there is one. */
function outcome(answer: Uint8Array): number {
  const operation = answer[At.reply.operation] as number
  const framed = operation === Operation.register || (operation >= 128 && operation !== Operation.deleteSegments)
  if (!framed || operation === Operation.sendMessages) return Status.ok
  return readResult(new Reader(answer, HEADER_SIZE))
}
