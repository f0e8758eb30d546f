// What the SDK needs of a network: ordered bytes to one address. Node's TCP and TLS are node-tcp.ts, WebSockets web-socket.ts;
// tests bring their own.

export interface Address {
  readonly host: string
  readonly port: number
}

export type Transport = 'tcp' | 'websocket'

export interface TlsOptions {
  /** Certificates of the authorities that are trusted, PEM; those that the platform trusts when absent. */
  readonly ca?: string | readonly string[]
  /** The name that certificates have to have; that of the address when absent. */
  readonly servername?: string
}

export interface Wire {
  /** Queues one frame, in order; its parts are together a whole one. Buffers stay as they are until they were sent or the wire is closed. */
  send(...parts: Uint8Array[]): void
  close(): void
}

export interface WireEvents {
  onOpen(): void
  /** The bytes are valid during the call. */
  onData(bytes: Uint8Array): void
  /** Once, whoever closed; `cause` is undefined after an orderly end. */
  onClose(cause: Error | undefined): void
}

/** Everything that the SDK takes from the outside: network, time, chance. */
export interface Environment {
  /** Which of a node's ports `connect` is for; TCP's when absent. */
  readonly transport?: Transport
  connect(address: Address, events: WireEvents): Wire
  /** Milliseconds, never goes back. */
  now(): number
  /** Microseconds since 1970. */
  wallMicros(): number
  /** Uniform in [0, 1). */
  random(): number
  /** Four words of a 128-bit id. */
  randomId(): Uint32Array
  after(milliseconds: number, action: () => void): Timer
}

export interface Timer {
  cancel(): void
}

/** `host:port`, `[v6]:port`. */
export function parseAddress(text: string): Address | null {
  const match = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > 65535) return null
  return { host: (match[1] ?? match[2]) as string, port }
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
