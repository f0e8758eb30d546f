// AEGIS-128L as the draft writes it (draft-irtf-cfrg-aegis-aead section 2), slow and plain: the reference that the
// checksums are compared with.

const SBOX = makeSbox()

function makeSbox(): Uint8Array {
  const sbox = new Uint8Array(256)
  let p = 1
  let q = 1
  do {
    p = (p ^ (p << 1) ^ ((p & 0x80) !== 0 ? 0x11b : 0)) & 0xff
    q ^= q << 1
    q ^= q << 2
    q ^= q << 4
    q &= 0xff
    if ((q & 0x80) !== 0) q ^= 0x09
    const rotations = q ^ ((q << 1) | (q >> 7)) ^ ((q << 2) | (q >> 6)) ^ ((q << 3) | (q >> 5)) ^ ((q << 4) | (q >> 4))
    sbox[p] = (rotations ^ 0x63) & 0xff
  } while (p !== 1)
  sbox[0] = 0x63
  return sbox
}

function double(b: number): number {
  return ((b << 1) ^ ((b & 0x80) !== 0 ? 0x1b : 0)) & 0xff
}

function get(bytes: Uint8Array, index: number): number {
  return bytes[index] as number
}

export function hex(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16))
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')
}

export function aesRound(state: Uint8Array, key: Uint8Array): Uint8Array {
  const out = new Uint8Array(16)
  for (let column = 0; column < 4; column++) {
    const s = [0, 1, 2, 3].map((row) => get(SBOX, get(state, ((column + row) % 4) * 4 + row)))
    for (let row = 0; row < 4; row++) {
      const a = s[row] as number
      const b = s[(row + 1) % 4] as number
      const c = s[(row + 2) % 4] as number
      const d = s[(row + 3) % 4] as number
      out[column * 4 + row] = double(a) ^ double(b) ^ b ^ c ^ d ^ get(key, column * 4 + row)
    }
  }
  return out
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((value, i) => value ^ get(b, i))
}

function and(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((value, i) => value & get(b, i))
}

const C0 = hex('000101020305080d1522375990e97962')
const C1 = hex('db3d18556dc22ff12011314273b528dd')

type State = readonly [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array]

function update(s: State, m0: Uint8Array, m1: Uint8Array): State {
  return [
    aesRound(s[7], xor(s[0], m0)),
    aesRound(s[0], s[1]),
    aesRound(s[1], s[2]),
    aesRound(s[2], s[3]),
    aesRound(s[3], xor(s[4], m1)),
    aesRound(s[4], s[5]),
    aesRound(s[5], s[6]),
    aesRound(s[6], s[7]),
  ]
}

/** The state after Init(key, nonce). */
export function initialize(key: Uint8Array, nonce: Uint8Array): State {
  let s: State = [xor(key, nonce), C1, C0, C1, xor(key, nonce), xor(key, C0), xor(key, C1), xor(key, C0)]
  for (let i = 0; i < 10; i++) s = update(s, nonce, key)
  return s
}

function* blocks(data: Uint8Array): Generator<[Uint8Array, Uint8Array, number]> {
  for (let at = 0; at < data.length; at += 32) {
    const padded = new Uint8Array(32)
    padded.set(data.subarray(at, at + 32))
    yield [padded.subarray(0, 16), padded.subarray(16), Math.min(32, data.length - at)]
  }
}

function littleEndian64(value: number): Uint8Array {
  const out = new Uint8Array(8)
  for (let i = 0; i < 8; i++) out[i] = Math.floor(value / 2 ** (8 * i)) & 0xff
  return out
}

export function aegis128l(
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array,
  message: Uint8Array,
): { ciphertext: Uint8Array; tag: Uint8Array } {
  let s = initialize(key, nonce)
  for (const [m0, m1] of blocks(associated)) s = update(s, m0, m1)
  const ciphertext: number[] = []
  for (const [m0, m1, length] of blocks(message)) {
    const z0 = xor(xor(s[1], s[6]), and(s[2], s[3]))
    const z1 = xor(xor(s[2], s[5]), and(s[6], s[7]))
    ciphertext.push(...[...xor(m0, z0), ...xor(m1, z1)].slice(0, length))
    s = update(s, m0, m1)
  }
  const lengths = new Uint8Array(16)
  lengths.set(littleEndian64(associated.length * 8))
  lengths.set(littleEndian64(message.length * 8), 8)
  const t = xor(s[2], lengths)
  for (let i = 0; i < 7; i++) s = update(s, t, t)
  let tag = s[0]
  for (let i = 1; i < 7; i++) tag = xor(tag, s[i] as Uint8Array)
  return { ciphertext: Uint8Array.from(ciphertext), tag }
}
