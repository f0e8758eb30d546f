// What messages hold: a number that no other message of the run has, and bytes that follow from it, so that whoever reads one
// knows whether it is whole and which one it is. A value is `producer · 2^32 + n`.
const PRODUCER_STEP = 2 ** 32
const PAYLOAD_MAX = 600

export function valueOf(producer: number, n: number): number {
  return producer * PRODUCER_STEP + n
}

export function payloadOf(value: number): Uint8Array {
  const mixed = mix(value)
  const payload = new Uint8Array(8 + (mixed % PAYLOAD_MAX))
  new DataView(payload.buffer).setFloat64(0, value)
  for (let i = 8; i < payload.length; i++) payload[i] = (mixed >>> (8 * (i % 4))) ^ i
  return payload
}

/** -1, which nobody sent, when the bytes are not those of any value. */
export function readValue(payload: Uint8Array): number {
  if (payload.length < 8) return -1
  const value = new DataView(payload.buffer, payload.byteOffset, 8).getFloat64(0)
  if (!Number.isSafeInteger(value) || value < 0) return -1
  const expected = payloadOf(value)
  return expected.length === payload.length && expected.every((byte, i) => byte === payload[i]) ? value : -1
}

function mix(value: number): number {
  let x = (value % PRODUCER_STEP) ^ Math.imul(Math.floor(value / PRODUCER_STEP) + 1, 0x9e3779b1)
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}
