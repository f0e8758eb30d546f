// Batches for checksum tests.
import type { Checksummer } from '../../src/protocol/checksum.ts'

export interface TestMessage {
  readonly payload: Uint8Array
  readonly headers?: Uint8Array
  readonly id?: bigint
  readonly timestampDelta?: number
}

/** The same bytes for the same length on every run. */
export function pseudoRandom(length: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(length)
  let x = 1
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff
    out[i] = (x >> 16) & 0xff
  }
  return out
}

/** A batch without checksums. */
export function makeBatch(messages: readonly TestMessage[], originTimestamp = 1000n): Uint8Array<ArrayBuffer> {
  const size = messages.reduce((sum, m) => sum + 48 + m.payload.length + (m.headers?.length ?? 0), 256)
  const batch = new Uint8Array(size)
  const view = new DataView(batch.buffer)
  view.setBigUint64(24, originTimestamp, true)
  view.setBigUint64(32, BigInt(size), true)
  view.setUint32(48, messages.length, true)
  let at = 256
  for (const [n, m] of messages.entries()) {
    view.setBigUint64(at + 8, m.id ?? BigInt(n + 1), true)
    view.setUint32(at + 24, n, true)
    view.setUint32(at + 28, m.timestampDelta ?? 0, true)
    view.setUint32(at + 32, m.headers?.length ?? 0, true)
    view.setUint32(at + 36, m.payload.length, true)
    batch.set(m.payload, at + 48)
    if (m.headers !== undefined) batch.set(m.headers, at + 48 + m.payload.length)
    at += 48 + m.payload.length + (m.headers?.length ?? 0)
  }
  return batch
}

/** The two messages whose checksums Iggy's SDKs have as golden values. */
export function goldenBatch(): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder()
  return makeBatch([
    { id: 7n, payload: text.encode('first-payload') },
    { id: 8n, payload: text.encode('second-payload'), headers: text.encode('user-header-bytes'), timestampDelta: 50 },
  ])
}

/** Seals a batch whose fields lie, as far as its frames can be walked. */
export function reseal(batch: Uint8Array, checksummer: Checksummer): void {
  checksummer.sealFrames(batch, 0, batch.length)
}
