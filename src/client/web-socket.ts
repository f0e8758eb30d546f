// The platform's WebSocket, in a browser as in Node: one message is one frame.
import { platform } from './platform.ts'
import { type Address, type Environment, formatAddress, type Wire, type WireEvents } from './transport.ts'

class WebSocketWire implements Wire {
  readonly #socket: WebSocket
  #closed = false

  constructor(url: string, events: WireEvents) {
    this.#socket = new WebSocket(url)
    this.#socket.binaryType = 'arraybuffer'
    let cause: Error | undefined
    this.#socket.onopen = () => events.onOpen()
    this.#socket.onmessage = ({ data }: { data: unknown }) => {
      if (this.#closed) return
      if (data instanceof ArrayBuffer) return events.onData(new Uint8Array(data))
      cause = new Error(`${url} sent a text message`)
      this.#socket.close()
    }
    this.#socket.onerror = () => {
      // Browsers do not say what it was, on purpose.
      cause ??= new Error(`the WebSocket of ${url} failed`)
    }
    this.#socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      this.#closed = true
      if (reason !== '' && code !== 1000) cause = new Error(`${url} closed the WebSocket: ${reason} (code ${code})`)
      events.onClose(cause)
    }
  }

  send(...parts: Uint8Array[]): void {
    if (this.#closed || this.#socket.readyState !== WebSocket.OPEN) return
    const frame = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of parts) {
      frame.set(part, at)
      at += part.length
    }
    this.#socket.send(frame)
  }

  close(): void {
    this.#closed = true
    this.#socket.close()
  }
}

function open(secure: boolean, address: Address, events: WireEvents): Wire {
  const url = `${secure ? 'wss' : 'ws'}://${formatAddress(address)}/`
  try {
    return new WebSocketWire(url, events)
  } catch (error) {
    // A page that came over https may not open ws://.
    queueMicrotask(() => events.onClose(error instanceof Error ? error : new Error(String(error))))
    return { send() {}, close() {} }
  }
}

export function webSocketEnvironment(secure: boolean): Environment {
  return { ...platform, transport: 'websocket', connect: (address, events) => open(secure, address, events) }
}
