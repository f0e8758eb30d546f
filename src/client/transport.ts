// What the SDK needs of a network: ordered bytes to one address. Node's TCP is node-tcp.ts; tests bring their own.

export interface Address {
  readonly host: string
  readonly port: number
}

export interface Wire {
  /** Queues bytes in order. Buffers stay as they are until they were sent or the wire is closed. */
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
