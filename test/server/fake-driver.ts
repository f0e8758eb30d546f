// A driver whose sockets are in the hands of the test: bytes arrive when it says so, in pieces as it says, and sends finish
// when it says so. Its clock is the test's. It has one socket: a second connection is refused.
import { errno, type IoDriver } from 'io-uring-napi'
import { At, Command, setU32 } from '../../src/protocol/frame.ts'
import type { Message, MessageClass } from '../../src/protocol/message.ts'
import { MessagePool } from '../../src/protocol/message.ts'
import { ChunkPool, StarvedQueue } from '../../src/server/buffers.ts'

interface Receive {
  readonly view: Uint8Array
  from: number
  length: number
  readonly all: boolean
  received: number
  readonly done: (result: number) => void
}

interface Send {
  readonly bytes: Uint8Array
  readonly done: (result: number) => void
}

export class FakeSocket {
  receiving: Receive | null = null
  sending: Send | null = null
  readonly sent: Uint8Array[] = []
  closed = false
  #pending: number[] = []

  /** Bytes come over the network, in one piece; they wait until they are received. */
  arrive(bytes: Uint8Array): void {
    for (const byte of bytes) this.#pending.push(byte)
    this.#deliver()
  }

  get unread(): number {
    return this.#pending.length
  }

  finish(result: number): void {
    const receive = this.receiving
    this.receiving = null
    receive?.done(result)
  }

  #deliver(): void {
    const receive = this.receiving
    if (receive === null || this.#pending.length === 0) return
    const bytes = this.#pending.splice(0, receive.length - receive.received)
    receive.view.set(bytes, receive.from + receive.received)
    receive.received += bytes.length
    if (receive.all && receive.received < receive.length) return
    this.finish(receive.received)
    this.#deliver()
  }

  receive(receive: Receive): void {
    if (this.receiving !== null) throw new Error('two receives at once')
    this.receiving = receive
    // What has already come is received at the next arrival: `done` is never called from inside.
    if (this.#pending.length > 0) queueMicrotask(() => this.#deliver())
  }

  /** The send under way is done. */
  take(result?: number): void {
    const send = this.sending
    if (send === null) throw new Error('nothing is being sent')
    this.sending = null
    if (result === undefined) this.sent.push(send.bytes)
    send.done(result ?? send.bytes.length)
  }
}

export class FakeDriver {
  time = 0
  readonly socket = new FakeSocket()
  #connected = false

  get driver(): IoDriver {
    const { socket } = this
    const now = (): number => this.time
    return {
      allocate: (size: number) => ({ buffer: new ArrayBuffer(size), offset: 0 }),
      now,
      receive: (
        _socket: number,
        view: Uint8Array,
        from: number,
        length: number,
        all: boolean,
        done: (result: number) => void,
      ) => socket.receive({ view, from, length, all, received: 0, done }),
      send: (_socket: number, view: Uint8Array, from: number, length: number, done: (result: number) => void) => {
        if (socket.sending !== null) throw new Error('two sends at once')
        socket.sending = { bytes: view.slice(from, from + length), done }
      },
      connect: (_host: string, _port: number, done: (socketOrNegativeErrno: number) => void) => {
        const first = !this.#connected
        this.#connected = true
        queueMicrotask(() => done(first ? 1 : -errno.ECONNREFUSED))
      },
      close: () => {
        socket.closed = true
        // What was under way ends, later.
        queueMicrotask(() => {
          if (socket.receiving !== null) socket.finish(-errno.ECANCELED)
          if (socket.sending !== null) socket.take(-errno.ECANCELED)
        })
      },
    } as unknown as IoDriver
  }
}

/** Buffers of a few sizes, and what belongs to them. */
export function memory(
  driver: IoDriver,
  classes: readonly MessageClass[] = [
    { size: 4096, count: 8 },
    { size: 65_536, count: 4 },
  ],
): { pool: MessagePool; chunks: ChunkPool; starved: StarvedQueue } {
  return {
    pool: new MessagePool(classes, (size) => driver.allocate(size)),
    chunks: new ChunkPool(driver, 4),
    starved: new StarvedQueue(),
  }
}

/** A frame of `size` bytes whose body tells which one it is. */
export function frame(size: number, mark = 0, command: number = Command.request): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let i = 256; i < size; i++) bytes[i] = (i * 31 + mark) & 0xff
  new DataView(bytes.buffer).setUint32(At.size, size, true)
  bytes[At.command] = command
  bytes[200] = mark
  return bytes
}

export function message(pool: MessagePool, size: number, mark = 0, command: number = Command.request): Message {
  const made = pool.acquire(size)
  if (made === null) throw new Error('no buffer')
  made.bytes.set(frame(size, mark, command))
  setU32(made.words, At.size, size)
  return made
}

/** Lets callbacks that were put off run. */
export async function settle(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve))
}
