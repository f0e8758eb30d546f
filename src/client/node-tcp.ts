// TCP, clocks and chance as Node has them.
import { randomFillSync } from 'node:crypto'
import { connect as connectSocket } from 'node:net'
import type { Address, Environment, Timer, Wire, WireEvents } from './transport.ts'

const READ_BUFFER_SIZE = 256 * 1024

class TcpWire implements Wire {
  readonly #socket: ReturnType<typeof connectSocket>
  #closed = false

  constructor(address: Address, events: WireEvents) {
    const buffer = new Uint8Array(READ_BUFFER_SIZE)
    let cause: Error | undefined
    this.#socket = connectSocket({
      host: address.host,
      port: address.port,
      noDelay: true,
      onread: {
        buffer,
        callback: (length) => {
          if (!this.#closed) events.onData(buffer.subarray(0, length))
          return true
        },
      },
    })
    this.#socket.on('connect', () => events.onOpen())
    this.#socket.on('error', (error) => {
      cause = error
    })
    // The far end closed: nothing more can be asked.
    this.#socket.on('end', () => this.#socket.destroy())
    this.#socket.on('close', () => {
      this.#closed = true
      events.onClose(cause)
    })
  }

  send(...parts: Uint8Array[]): void {
    if (this.#closed) return
    this.#socket.cork()
    for (const part of parts) this.#socket.write(part)
    this.#socket.uncork()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.destroy()
  }
}

export const nodeEnvironment: Environment = {
  connect: (address, events) => new TcpWire(address, events),
  now: () => performance.now(),
  wallMicros: () => Math.floor((performance.timeOrigin + performance.now()) * 1000),
  random: () => (randomFillSync(new Uint32Array(1))[0] as number) / 0x1_0000_0000,
  randomId: () => randomFillSync(new Uint32Array(4)),
  after(milliseconds: number, action: () => void): Timer {
    const timer = setTimeout(action, milliseconds)
    return { cancel: () => clearTimeout(timer) }
  },
}
