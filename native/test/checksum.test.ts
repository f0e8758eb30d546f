// The addon and the WebAssembly build come from one source: the same bits, whatever the size, on every path of the addon.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { type Checksummer, createChecksummer } from '../../src/protocol/checksum.ts'
import { loadAddon } from '../src/addon.ts'
import { nativeChecksummer, openDriver } from '../src/index.ts'
import { fill } from './harness.ts'

const { addon, reason } = loadAddon()

describe('native checksums', { skip: addon === null && reason }, () => {
  const native = nativeChecksummer() as Checksummer
  const wasm = createChecksummer()
  after(() => addon?.checksumPortable(false))

  for (const portable of [false, true]) {
    const how = portable ? 'portable code' : `this CPU's (${addon?.checksums})`

    test(`${how}: mac and xxh3 of every small size and alignment, and of random large ones`, () => {
      addon?.checksumPortable(portable)
      const data = fill(new Uint8Array(300_000), 1)
      for (let length = 0; length < 1200; length++) agree(data, length % 33, (length % 33) + length)
      fc.assert(
        fc.property(fc.nat(data.length), fc.nat(data.length), (a, b) => agree(data, Math.min(a, b), Math.max(a, b))),
        { numRuns: 60 },
      )
    })

    test(`${how}: batches are sealed and verified alike`, () => {
      addon?.checksumPortable(portable)
      const message = fc.tuple(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 0, max: 40 }))
      fc.assert(
        fc.property(fc.array(message, { minLength: 1, maxLength: 20 }), fc.nat(), (messages, at) => {
          const batch = makeBatch(messages)
          const twin = batch.slice()
          native.sealFrames(batch, 0, batch.length)
          wasm.sealFrames(twin, 0, twin.length)
          assert.deepEqual(batch, twin)
          assert.equal(native.verifyBatch(batch, 0, batch.length), 0)
          // Offsets are given later: only the batch checksum changes.
          batch[8] = 77
          twin[8] = 77
          native.sealBatch(batch, 0, batch.length)
          wasm.sealBatch(twin, 0, twin.length)
          assert.deepEqual(batch, twin)
          // Any damage is found, as the same fault.
          const index = at % batch.length
          batch[index] = (batch[index] as number) ^ (1 << (at % 8))
          const fault = native.verifyBatch(batch, 0, batch.length)
          assert.notEqual(fault, 0)
          assert.equal(wasm.verifyBatch(batch, 0, batch.length), fault)
        }),
        { numRuns: 60 },
      )
    })
  }

  test('works in place in the memory of a driver', async () => {
    const driver = await openDriver()
    const slab = driver.allocate(100_000)
    const bytes = fill(new Uint8Array(slab.buffer, slab.offset, 100_000), 2)
    agree(bytes, 12_345, 99_999)
    await driver.close()
  })

  test('of an array without bytes', () => {
    // What stands in the result before must not be taken for it.
    agree(fill(new Uint8Array(64), 3), 0, 64)
    agree(new Uint8Array(0), 0, 0)
    assert.equal(native.verifyBatch(new Uint8Array(0), 0, 0), wasm.verifyBatch(new Uint8Array(0), 0, 0))
  })

  test('ranges outside of the view are refused', () => {
    const data = new Uint8Array(100)
    const out = new Uint32Array(4)
    for (const [from, to] of [
      [0, 101],
      [-1, 5],
      [6, 5],
      [0, 2 ** 32 + 5],
    ] as const) {
      assert.throws(() => native.mac(data, from, to, out, 0), RangeError, `${from}..${to}`)
      assert.throws(() => native.verifyBatch(data, from, to), RangeError)
    }
    assert.throws(() => native.mac(new Uint16Array(10) as unknown as Uint8Array, 0, 1, out, 0), RangeError)
    assert.throws(() => native.sealFrames(data, 0, 100), RangeError)
  })

  function agree(data: Uint8Array, from: number, to: number): void {
    const a = new Uint32Array(6)
    const b = new Uint32Array(6)
    native.mac(data, from, to, a, 0)
    native.xxh3(data, from, to, a, 4)
    wasm.mac(data, from, to, b, 0)
    wasm.xxh3(data, from, to, b, 4)
    assert.deepEqual(a, b, `bytes ${from}..${to}`)
  }
})

/** A batch without checksums, of [payload length, headers length]. */
function makeBatch(messages: readonly (readonly [number, number])[]): Uint8Array {
  const size = messages.reduce((sum, [payload, headers]) => sum + 48 + payload + headers, 256)
  const batch = new Uint8Array(size)
  const view = new DataView(batch.buffer)
  view.setBigUint64(32, BigInt(size), true)
  view.setUint32(48, messages.length, true)
  let at = 256
  for (const [n, [payload, headers]] of messages.entries()) {
    view.setBigUint64(at + 8, BigInt(n + 1), true)
    view.setUint32(at + 24, n, true)
    view.setUint32(at + 32, headers, true)
    view.setUint32(at + 36, payload, true)
    fill(batch.subarray(at + 48, at + 48 + payload + headers), n)
    at += 48 + payload + headers
  }
  return batch
}
