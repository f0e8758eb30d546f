// A real node, and everything that a stranger, a broken client or an attacker may say to it, over real sockets. After each
// thing, and over each transport, the node is up, a well-behaved client beside it goes on, and what it was acknowledged is there.
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { SeededRandom } from '../../simulator/random.ts'
import { type Client, connect } from '../../src/index.ts'
import { Writer } from '../../src/protocol/bytes.ts'
import { encodeRegister, PROTOCOL_VERSION } from '../../src/protocol/commands/register.ts'
import { EvictionReason, Status } from '../../src/protocol/errors.ts'
import { At, Command, getU32 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import type { GalgoNode } from '../../src/server/node.ts'
import { GOLDENS } from '../golden/commands.ts'
import { sealedBatch } from '../state/prepares.ts'
import { requestFrame } from '../state/request-frame.ts'
import { CREDENTIALS, temporaryDirectory, until } from './processes.ts'
import {
  Authority,
  dialRaw,
  FRAME_SIZE_MAX,
  isWebSocket,
  portOf,
  type RawWire,
  serving,
  startNode,
  TRANSPORTS,
  type Transport,
  writePem,
} from './transport-node.ts'

interface Answer {
  readonly command: number
  readonly operation: number
  readonly status: number
  readonly reason: number
  readonly body: Uint8Array
}

/** A connection that says what it likes, and notes what comes back. */
class Stranger {
  readonly #wire: RawWire
  #pending = Buffer.alloc(0)
  readonly answers: Answer[] = []
  closed = false
  #waiting: PromiseWithResolvers<Answer> | null = null

  constructor(transport: Transport, port: number, ca: string) {
    this.#wire = dialRaw(transport, port, ca, {
      onData: (chunk) => this.#onData(chunk),
      onClose: () => {
        this.closed = true
        this.#waiting?.reject(new Error('the connection ended without an answer'))
      },
    })
  }

  #onData(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk])
    while (this.#pending.length >= HEADER_SIZE) {
      const size = this.#pending.readUInt32LE(At.size)
      if (this.#pending.length < size) return
      const frame = Uint8Array.from(this.#pending.subarray(0, size))
      this.#pending = this.#pending.subarray(size)
      const words = new Uint32Array(frame.buffer, 0, HEADER_SIZE / 4)
      this.#onAnswer({
        command: frame[At.command] as number,
        operation: frame[At.reply.operation] as number,
        status: getU32(words, At.reply.status),
        reason: frame[At.eviction.reason] as number,
        body: frame.slice(HEADER_SIZE),
      })
    }
  }

  say(...parts: readonly (Uint8Array | string)[]): this {
    for (const part of parts) this.#wire.write(typeof part === 'string' ? Buffer.from(part) : part)
    return this
  }

  readNothing(): void {
    this.#wire.deafen()
  }

  #onAnswer(answer: Answer): void {
    const waiting = this.#waiting
    this.#waiting = null
    if (waiting === null) this.answers.push(answer)
    else waiting.resolve(answer)
  }

  async answer(): Promise<Answer> {
    const first = this.answers.shift()
    if (first !== undefined) return first
    this.#waiting = Promise.withResolvers()
    return await this.#waiting.promise
  }

  /** Says nothing more, and waits until the node has taken what was said and closed as well. */
  async hangUp(): Promise<void> {
    this.#wire.end()
    await this.ended()
  }

  async ended(): Promise<void> {
    await until('the end of the connection', async () => (this.closed ? true : undefined), 15_000)
  }

  /** Logs in; the session. */
  async login(client: number, password = 'iggy'): Promise<number> {
    this.say(requestFrame({ operation: Operation.register, request: 0, client, body: loginBody(password) }))
    const { command, body } = await this.answer()
    assert.equal(command, Command.reply)
    return new DataView(body.buffer).getUint32(8, true)
  }

  end(): void {
    this.#wire.destroy()
  }
}

function loginBody(password: string, protocolVersion = PROTOCOL_VERSION): Uint8Array {
  const writer = new Writer()
  const version = { protocolVersion, sdkName: 'test', sdkVersion: '1' }
  encodeRegister(writer, { kind: 'password', ...version, username: 'iggy', password, context: '' })
  return writer.written().slice()
}

for (const transport of TRANSPORTS) {
  suite(`what strangers say to a node, over ${transport}`, () => {
    const directory = temporaryDirectory()
    let ca = ''
    let node: GalgoNode
    let bystander: Client
    let stored = 0

    const stranger = (): Stranger => new Stranger(transport, portOf(node, transport), ca)

    /** The well-behaved client goes on, and has everything that it was acknowledged. */
    const allIsWell = async (): Promise<void> => {
      const { offset } = await bystander.sendBatch({ stream: 's', topic: 't', partition: 0 }, [
        { payload: `m${stored}` },
      ])
      assert.equal(offset, stored)
      stored += 1
      let next = 0
      for await (const message of bystander.consumer({ stream: 's', topic: 't' })) {
        assert.equal(new TextDecoder().decode(message.payload), `m${next}`)
        next += 1
      }
      assert.equal(next, stored)
      assert.equal((await node.status()).status, 'normal')
    }

    before(async () => {
      const authority = await Authority.make()
      ca = authority.cert
      const files = writePem(directory.path, await authority.sign('node.test'))
      node = await startNode(directory.path, serving(transport, files))
      bystander = await connect({ servers: [`127.0.0.1:${node.clientPort}`], credentials: CREDENTIALS })
      await bystander.createStream('s')
      await bystander.createTopic('s', 't', { partitions: 1 })
    })

    after(async () => {
      await bystander.close()
      await node.stop()
      directory.remove()
    })

    test('other protocols: HTTP, TLS, SSH, zeros', async () => {
      const hello = Buffer.from('16030100c8010000c40303', 'hex')
      for (const words of [
        'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
        'SSH-2.0-OpenSSH_9.6\r\n',
        hello,
        new Uint8Array(512),
      ]) {
        const guest = stranger().say(words, Buffer.alloc(HEADER_SIZE, 0x20))
        await guest.ended()
        assert.deepEqual(guest.answers, [])
      }
      await allIsWell()
    })

    test('sizes: smaller than a header, larger than any frame, 4 GiB', async () => {
      for (const size of [0, 1, HEADER_SIZE - 1, FRAME_SIZE_MAX + 1, 0x7fff_ffff, 0xffff_ffff]) {
        const guest = stranger().say(requestFrame({ code: Code.ping, size }))
        await guest.ended()
      }
      await allIsWell()
    })

    test('a frame that comes byte by byte is a frame; one that is cut off is nothing', async () => {
      const guest = stranger()
      if (!isWebSocket(transport)) {
        for (const byte of requestFrame({ code: Code.ping })) guest.say(Uint8Array.of(byte))
        assert.equal((await guest.answer()).status, Status.ok)
      }
      guest.say(requestFrame({ code: Code.ping }).subarray(0, 100))
      guest.end()
      await allIsWell()
    })

    test('frames of replicas are nothing that a client may say', async () => {
      for (const command of Object.values(Command)) {
        if (command === Command.request) continue
        const guest = stranger().say(requestFrame({ code: Code.ping, command }))
        await guest.ended()
      }
      await allIsWell()
    })

    test('before the login: every command is refused with its status, ping alone is answered', async () => {
      const guest = stranger()
      for (const code of Object.values(Code)) {
        if (code === Code.loginUser || code === Code.loginWithPersonalAccessToken) continue
        guest.say(requestFrame({ code }))
        const { status } = await guest.answer()
        assert.equal(status, code === Code.ping ? Status.ok : Status.unauthenticated, `code ${code}`)
      }
      guest.end()
      await allIsWell()
    })

    test('logins: wrong password, another protocol version, garbage; each is told why and let go', async () => {
      const cases: [Uint8Array, number][] = [
        [loginBody('wrong'), EvictionReason.invalidCredentials],
        [loginBody('iggy', 1), EvictionReason.incompatibleProtocol],
        [Uint8Array.of(1, 2, 3), EvictionReason.malformedLogin],
        [new Uint8Array(0), EvictionReason.malformedLogin],
      ]
      for (const [body, reason] of cases) {
        const guest = stranger().say(requestFrame({ operation: Operation.register, request: 0, body }))
        const answer = await guest.answer()
        assert.equal(answer.command, Command.eviction)
        assert.equal(answer.reason, reason)
        await guest.ended()
      }
      await allIsWell()
    })

    test('a session that is over, or somebody else’s, is an eviction', async () => {
      const guest = stranger()
      const session = await guest.login(1001)
      guest.say(
        requestFrame({
          operation: Operation.createStream,
          client: 1001,
          session: session + 7,
          body: Uint8Array.of(1, 65),
        }),
      )
      assert.equal((await guest.answer()).reason, EvictionReason.noSession)
      await guest.ended()
      await allIsWell()
    })

    test('every command with the body of every other: a typed answer each, and the connection stays', async () => {
      const guest = stranger()
      const session = await guest.login(1002)
      const writes = [128, 130, 132, 134, 136, 137, 160, 161, 162]
      const reads = [
        Code.pollMessages,
        Code.getConsumerOffset,
        Code.getStream,
        Code.getTopic,
        Code.listTopics,
        Code.me,
        Code.stats,
      ]
      const bodies = GOLDENS.filter(({ name }) => !name.includes('reply') && !name.startsWith('create'))
      let request = 0
      let refused = 0
      for (const { bytes } of bodies) {
        for (const operation of writes) {
          request += 1
          guest.say(requestFrame({ operation, request, session, client: 1002, body: bytes }))
          const { status, body } = await guest.answer()
          if (status !== 0 || (body.length === 12 && body[0] === 1)) refused += 1
        }
        for (const code of reads) {
          guest.say(requestFrame({ code, session, client: 1002, body: bytes }))
          await guest.answer()
        }
      }
      assert.ok(refused > (bodies.length * writes.length) / 2, `${refused} of ${bodies.length * writes.length}`)
      assert.equal(guest.closed, false)
      guest.end()
      await allIsWell()
    })

    test('batches that lie about themselves are refused, and nothing of them is stored', async () => {
      const guest = stranger()
      const session = await guest.login(1003)
      const prefix = Uint8Array.of(15, 0, 0, 0, 2, 1, 115, 2, 1, 116, 2, 4, 0, 0, 0, 0, 1, 0, 0, 0)
      new DataView(prefix.buffer).setUint32(0, prefix.length - 4, true)
      const good = sealedBatch([new TextEncoder().encode('never')])
      const spoil = (change: (view: DataView) => void): Uint8Array => {
        const bytes = good.slice()
        change(new DataView(bytes.buffer))
        return bytes
      }
      const lies = [
        spoil((v) => v.setUint8(good.length - 1, 0)),
        spoil((v) => v.setUint32(40, 1, true)),
        spoil((v) => v.setUint32(48, 2, true)),
        spoil((v) => v.setUint32(32, 5000, true)),
        spoil((v) => v.setUint32(256 + 36, 0xffff_fff0, true)),
        good.subarray(0, good.length - 1),
        good.subarray(0, 100),
      ]
      for (const [i, batch] of lies.entries()) {
        const body = Uint8Array.from([...prefix, ...batch])
        guest.say(requestFrame({ operation: Operation.sendMessages, request: i + 1, session, client: 1003, body }))
        const { status } = await guest.answer()
        assert.notEqual(status, Status.ok, `lie ${i}`)
      }
      guest.end()
      await allIsWell()
    })

    test('names and numbers that are none', async () => {
      const refusedWith = async (asking: Promise<unknown>, status: number): Promise<void> => {
        await assert.rejects(asking, (error) => (error as { status?: number }).status === status)
      }
      await refusedWith(bystander.createStream('s'), Status.streamNameAlreadyExists)
      await refusedWith(bystander.createTopic('s', 't', { partitions: 1 }), Status.topicNameAlreadyExists)
      await refusedWith(bystander.deleteStream('nobody'), Status.streamIdNotFound)
      await refusedWith(bystander.deleteTopic('s', 'nothing'), Status.topicIdNotFound)
      await refusedWith(
        bystander.sendBatch({ stream: 's', topic: 't', partition: 5 }, [{ payload: 'x' }]),
        Status.partitionNotFound,
      )
      const guest = stranger()
      const session = await guest.login(1004)
      const names = [Uint8Array.of(0), Uint8Array.of(255, 65), Uint8Array.of(2, 0xff, 0xfe), new Uint8Array(0)]
      for (const [i, body] of names.entries()) {
        guest.say(requestFrame({ operation: Operation.createStream, request: i + 1, session, client: 1004, body }))
        const answer = await guest.answer()
        assert.equal(new DataView(answer.body.buffer).getUint32(8, true), Status.invalidStreamName)
      }
      guest.end()
      await allIsWell()
    })

    test('a thousand frames of seeded garbage', async () => {
      const random = new SeededRandom(5)
      for (let i = 0; i < 100; i++) {
        const guest = stranger()
        for (let j = 0; j < 10; j++) {
          const body = Uint8Array.from({ length: random.below(300) }, () => random.below(256))
          const frame = requestFrame({
            operation: random.below(256),
            code: random.below(700),
            request: random.below(5),
            body,
          })
          for (let k = random.below(4); k > 0; k--) frame[random.below(frame.length)] = random.below(256)
          guest.say(frame)
        }
        await guest.hangUp()
      }
      await allIsWell()
    })

    test('two hundred connections that say nothing, and one that never reads: memory stays bounded', async () => {
      const silent = Array.from({ length: 200 }, () => stranger())
      const deaf = stranger()
      const session = await deaf.login(1005)
      deaf.readNothing()
      const polls = Array.from({ length: 500 }, () => requestFrame({ code: Code.stats, session, client: 1005 }))
      deaf.say(...polls)
      await allIsWell()
      const { buffers } = await node.status()
      assert.ok(buffers.used < buffers.total / 2, `${buffers.used} of ${buffers.total} buffers are in use`)
      for (const guest of [...silent, deaf]) guest.end()
      await until('buffers given back', async () => ((await node.status()).buffers.used < 50 ? true : undefined))
      await allIsWell()
    })
  })
}
