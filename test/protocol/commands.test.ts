// Every command's body: the bytes on the wire, and what becomes of bytes that are not those.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProtocolError, Reader } from '../../src/protocol/bytes.ts'
import { join } from '../golden/bytes.ts'
import { encoded, GOLDENS, type Golden, SEND_PREFIXES } from '../golden/commands.ts'

const EMPTY_BATCH = new Uint8Array(256)

/** What a decoder says of bytes: its value, or the status of a ProtocolError. Anything else that it throws is a defect. */
function outcome(decode: (reader: Reader) => unknown, bytes: Uint8Array): { value: unknown } | { status: number } {
  try {
    return { value: decode(new Reader(bytes)) }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    assert.ok(Number.isInteger(error.status) && error.status > 0)
    assert.ok(error.message.length > 0)
    return { status: error.status }
  }
}

for (const golden of GOLDENS) {
  test(`${golden.name}: the bytes of the protocol, both ways`, () => {
    assert.deepEqual(golden.decode(new Reader(golden.bytes)), golden.value)
    if (golden.encode !== undefined) assert.deepEqual(encoded(golden), golden.bytes)
  })

  test(`${golden.name}: cut off anywhere, or with bytes too many, it is refused`, () => {
    for (let length = 0; length < golden.bytes.length; length++) {
      const found = outcome(golden.decode, golden.bytes.slice(0, length))
      const accepted = golden.prefixes?.includes(length) ?? false
      assert.equal('value' in found, accepted, `the first ${length} of ${golden.bytes.length} bytes`)
    }
    const more = outcome(golden.decode, join(golden.bytes, Uint8Array.of(0)))
    assert.equal('value' in more, golden.open ?? false)
  })
}

for (const golden of SEND_PREFIXES) {
  test(`send messages ${golden.name}: the bytes before the batch, and their faults`, () => {
    assert.deepEqual(golden.decode(new Reader(join(golden.bytes, EMPTY_BATCH))), golden.value)
    assert.deepEqual(encoded(golden), golden.bytes)
    for (let length = 0; length < golden.bytes.length; length++)
      assert.ok('status' in outcome(golden.decode, golden.bytes.slice(0, length)))
    assert.ok('status' in outcome(golden.decode, join(golden.bytes, EMPTY_BATCH.subarray(1))), 'less than a batch')
    const none = join(golden.bytes, EMPTY_BATCH)
    none.fill(0, golden.bytes.length - 4, golden.bytes.length)
    assert.ok('status' in outcome(golden.decode, none), 'no messages')
  })
}

test('whatever bytes change, a decoder answers or refuses; it never fails otherwise and makes nothing large', () => {
  const all: readonly Golden[] = [...GOLDENS, ...SEND_PREFIXES].filter(({ bytes }) => bytes.length > 0)
  const change = fc.tuple(fc.nat({ max: 4096 }), fc.integer({ min: 0, max: 255 }))
  let refused = 0
  fc.assert(
    fc.property(fc.constantFrom(...all), fc.array(change, { minLength: 1, maxLength: 6 }), (golden, changes) => {
      const bytes = golden.bytes.slice()
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte
      const found = outcome(golden.decode, bytes)
      if ('status' in found) refused += 1
      else assert.ok((JSON.stringify(found.value) ?? '').length < 64 * 1024)
    }),
    { seed: 21, numRuns: 4000 },
  )
  assert.ok(refused > 500, `only ${refused} refused`)
})

test('counts that lie are refused before anything is made of them', () => {
  const lies = [0xffff_ffff, 0x7fff_ffff, 1_000_000, 255]
  for (const golden of [...GOLDENS, ...SEND_PREFIXES]) {
    for (let at = 0; at + 4 <= golden.bytes.length; at++) {
      for (const lie of lies) {
        const bytes = golden.bytes.slice()
        new DataView(bytes.buffer).setUint32(at, lie, true)
        const found = outcome(golden.decode, bytes)
        if ('value' in found)
          assert.ok((JSON.stringify(found.value) ?? '').length < 64 * 1024, `${golden.name}: ${lie} at ${at}`)
      }
    }
  }
})

test('random bytes are refused, or mean something, for every decoder', () => {
  fc.assert(
    fc.property(fc.constantFrom(...GOLDENS), fc.uint8Array({ maxLength: 200 }), (golden, bytes) => {
      outcome(golden.decode, bytes)
    }),
    { seed: 22, numRuns: 4000 },
  )
})
