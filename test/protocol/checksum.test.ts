import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import fc from 'fast-check'
import { BatchFault, createChecksummer } from '../../src/protocol/checksum.ts'
import { xxh32 } from '../../src/protocol/xxh32.ts'
import { aegis128l, aesRound, hex, initialize, toHex } from './aegis128l.ts'
import { goldenBatch, makeBatch, pseudoRandom, reseal } from './batches.ts'

const checksummer = createChecksummer()
const ZERO = new Uint8Array(16)

function mac(bytes: Uint8Array, from = 0, to = bytes.length): string {
  const out = new Uint32Array(4)
  checksummer.mac(bytes, from, to, out, 0)
  return toHex(new Uint8Array(out.buffer))
}

function xxh3(bytes: Uint8Array, from = 0, to = bytes.length): string {
  const out = new Uint32Array(2)
  checksummer.xxh3(bytes, from, to, out, 0)
  return [out[1], out[0]].map((word) => (word as number).toString(16).padStart(8, '0')).join('')
}

test('the reference AEGIS-128L agrees with the vectors of the draft', () => {
  const key = hex('10010000000000000000000000000000')
  const nonce = hex('10000200000000000000000000000000')
  const round = aesRound(hex('000102030405060708090a0b0c0d0e0f'), hex('101112131415161718191a1b1c1d1e1f'))
  assert.equal(toHex(round), '7a7b4e5638782546a8c0477a3b813f43')
  for (const [associated, message, ciphertext, tag] of [
    ['', '00000000000000000000000000000000', 'c1c0e58bd913006feba00f4b3cc3594e', 'abe0ece80c24868a226a35d16bdae37a'],
    ['', '', '', 'c2b879a67def9d74e6c14f708bbcc9b4'],
    [
      '0001020304050607',
      '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
      '79d94593d8c2119d7e8fd9b8fc77845c5c077a05b2528b6ac54b563aed8efe84',
      'cc6f3372f6aa1bb82388d695c3962d9a',
    ],
    [
      '0001020304050607',
      '000102030405060708090a0b0c0d',
      '79d94593d8c2119d7e8fd9b8fc77',
      '5c04b3dba849b2701effbe32c7f0fab7',
    ],
  ] as const) {
    const sealed = aegis128l(key, nonce, hex(associated), hex(message))
    assert.equal(toHex(sealed.ciphertext), ciphertext)
    assert.equal(toHex(sealed.tag), tag)
  }
})

test('the initial state in the C source is Init(0, 0)', () => {
  const source = readFileSync(new URL('../../native/src/aegis-zero.inc', import.meta.url), 'utf8')
  const bytes = [...source.matchAll(/0x([0-9a-f]{2})/g)].map((match) => match[1]).join('')
  assert.equal(bytes, initialize(ZERO, ZERO).map(toHex).join(''))
})

test('mac is AEGIS-128L of associated data, for every length up to 200 and at any alignment', () => {
  const data = pseudoRandom(1024)
  for (let length = 0; length <= 200; length++) {
    const from = length % 17
    const piece = data.slice(from, from + length)
    assert.equal(mac(data, from, from + length), toHex(aegis128l(ZERO, ZERO, piece, ZERO.subarray(0, 0)).tag))
  }
})

test('xxh3 agrees with the reference implementation (vectors of libxxhash 0.8)', () => {
  const data = pseudoRandom((1 << 20) + 77)
  const digest = createHash('sha256')
  const out = new Uint32Array(2)
  for (let length = 0; length < 2200; length++) {
    checksummer.xxh3(data, 0, length, out, 0)
    digest.update(new Uint8Array(out.buffer))
  }
  assert.equal(digest.digest('hex'), '77a5fa5d5c0d2362bb37a9b4d17225ece7e3c6e5fc1d152cf2fc0dca83ea7405')
  for (const [length, expected] of [
    [0, '2d06800538d394c2'],
    [3, 'd3bcc83c6f14e70f'],
    [8, '0f25a2a1cc43dda2'],
    [16, '9ec324145cea1dcb'],
    [128, '5d813d42c0005ea8'],
    [240, '7d85b8d4f8b10c82'],
    [241, '5c56141c894cd97e'],
    [1024, '0551dea22e104ea8'],
    [1025, 'dbe2ed3c377d9922'],
    [65536, '3387c315d69e9c87'],
    [1000000, '3116528465a58adc'],
    [1048653, 'f4f6f9d936eab76f'],
  ] as const) {
    assert.equal(xxh3(data, 0, length), expected, `length ${length}`)
  }
})

test('xxh32 agrees with the reference implementation', () => {
  const data = pseudoRandom(300)
  const digest = createHash('sha256')
  for (let n = 0; n < 300; n++) digest.update(new Uint32Array([xxh32(data, 0, n, n)]))
  assert.equal(digest.digest('hex'), '3e55b29e11a507f8de1b3f216f7753563159b324e899cf5164293c607197f455')
  assert.equal(xxh32(data, 0, 0, 0), 0x02cc5d05)
})

test('memory grows with the data and results stay right', () => {
  const big = pseudoRandom(3 << 20)
  const fresh = createChecksummer()
  const out = new Uint32Array(8)
  fresh.xxh3(big, 0, 100, out, 0)
  fresh.mac(big, 1, 3 << 20, out, 4)
  checksummer.mac(big.slice(1), 0, (3 << 20) - 1, out, 0)
  assert.deepEqual(out.slice(0, 4), out.slice(4))
})

test('sealing gives the checksums of the golden frames', () => {
  const batch = goldenBatch()
  checksummer.sealFrames(batch, 0, batch.length)
  const view = new DataView(batch.buffer)
  assert.equal(batch.length, 0x18c)
  assert.equal(view.getBigUint64(256, true), 0x7596755a20b9d2bfn)
  assert.equal(view.getBigUint64(256 + 48 + 13, true), 0xc0b78e751c7e6bd6n)
  assert.equal(checksummer.verifyBatch(batch, 0, batch.length), BatchFault.none)
})

test('the batch checksum covers header fields, count and frame checksums', () => {
  for (const count of [1, 2, 24, 25, 26, 120, 121, 122, 123, 124, 125, 126, 127, 128, 249, 250, 251, 252, 1000]) {
    const batch = makeBatch(Array.from({ length: count }, (_, i) => ({ payload: pseudoRandom(1 + (i % 300)) })))
    checksummer.sealFrames(batch, 0, batch.length)
    const pieces = new Uint8Array(44 + 8 * count)
    pieces.set(batch.subarray(0, 40))
    pieces.set(batch.subarray(48, 52), 40)
    const view = new DataView(batch.buffer)
    for (let n = 0, at = 256; n < count; n++) {
      pieces.set(batch.subarray(at, at + 8), 44 + 8 * n)
      at += 48 + view.getUint32(at + 32, true) + view.getUint32(at + 36, true)
    }
    assert.equal(view.getBigUint64(40, true).toString(16).padStart(16, '0'), xxh3(pieces), `${count} frames`)
    assert.equal(checksummer.verifyBatch(batch, 0, batch.length), BatchFault.none)
  }
})

test('sealBatch restores the batch checksum after stamping and touches no frame', () => {
  const batch = makeBatch([{ payload: pseudoRandom(100) }, { payload: pseudoRandom(2000), headers: pseudoRandom(20) }])
  checksummer.sealFrames(batch, 0, batch.length)
  const view = new DataView(batch.buffer)
  view.setBigUint64(8, 123n, true)
  view.setBigUint64(16, 456n, true)
  assert.equal(checksummer.verifyBatch(batch, 0, batch.length), BatchFault.batchChecksum)
  const frames = batch.slice(256)
  checksummer.sealBatch(batch, 0, batch.length)
  assert.equal(checksummer.verifyBatch(batch, 0, batch.length), BatchFault.none)
  assert.deepEqual(batch.slice(256), frames)
})

test('a batch is checked in place, at any position of a larger buffer', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 600 }), { minLength: 1, maxLength: 40 }),
      fc.nat(70),
      fc.nat(70),
      (payloads, before, after) => {
        const batch = makeBatch(payloads.map((payload) => ({ payload })))
        const buffer = pseudoRandom(before + batch.length + after)
        buffer.set(batch, before)
        checksummer.sealFrames(buffer, before, before + batch.length)
        assert.equal(checksummer.verifyBatch(buffer, before, before + batch.length), BatchFault.none)
        assert.equal(checksummer.verifyBatch(buffer, before, before + batch.length - 1), BatchFault.length)
        assert.deepEqual(buffer.slice(0, before), pseudoRandom(before))
      },
    ),
    { numRuns: 200 },
  )
})

test('every lie in a batch has its fault', () => {
  const good = makeBatch([{ payload: pseudoRandom(10) }, { payload: pseudoRandom(20), headers: pseudoRandom(5) }])
  const second = 256 + 48 + 10
  const cases: [string, number, (view: DataView) => void, boolean][] = [
    ['batch_length too long', BatchFault.length, (v) => v.setBigUint64(32, BigInt(good.length + 1), true), true],
    ['batch_length huge', BatchFault.length, (v) => v.setBigUint64(32, 2n ** 63n, true), true],
    ['count too small', BatchFault.count, (v) => v.setUint32(48, 1, true), true],
    ['count too big', BatchFault.count, (v) => v.setUint32(48, 3, true), false],
    ['count zero', BatchFault.count, (v) => v.setUint32(48, 0, true), true],
    ['reserved in the header, first byte', BatchFault.layout, (v) => v.setUint8(52, 1), true],
    ['reserved in the header, last byte', BatchFault.layout, (v) => v.setUint8(255, 1), true],
    ['offset delta', BatchFault.layout, (v) => v.setUint32(second + 24, 2, true), true],
    ['reserved in a frame', BatchFault.layout, (v) => v.setUint8(second + 47, 1), true],
    ['payload length beyond the end', BatchFault.layout, (v) => v.setUint32(second + 36, 26, true), false],
    ['lengths that overflow', BatchFault.layout, (v) => v.setUint32(second + 32, 0xffffffff, true), false],
    ['a payload bit', BatchFault.frameChecksum, (v) => v.setUint8(good.length - 1, 99), false],
    ['a stamped field', BatchFault.batchChecksum, (v) => v.setUint8(8, 1), false],
    ['a frame checksum', BatchFault.frameChecksum, (v) => v.setUint8(256, v.getUint8(256) ^ 1), false],
  ]
  for (const [name, fault, lie, sealAgain] of cases) {
    const batch = good.slice()
    checksummer.sealFrames(batch, 0, batch.length)
    lie(new DataView(batch.buffer))
    if (sealAgain) reseal(batch, checksummer)
    assert.equal(checksummer.verifyBatch(batch, 0, batch.length), fault, name)
  }
})

test('random bytes and random damage never pass and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), (bytes) => {
      assert.notEqual(checksummer.verifyBatch(bytes, 0, bytes.length), BatchFault.none)
    }),
  )
  const good = makeBatch(Array.from({ length: 5 }, (_, i) => ({ payload: pseudoRandom(i * 100) })))
  checksummer.sealFrames(good, 0, good.length)
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const bad = good.slice()
      bad[at] = (bad[at] as number) ^ flip
      assert.notEqual(checksummer.verifyBatch(bad, 0, bad.length), BatchFault.none)
    }),
    { numRuns: 500 },
  )
})
