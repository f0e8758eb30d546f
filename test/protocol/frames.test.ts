// The 256 bytes before every body: each field at its place, little-endian, nothing else set.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FrameAt } from '../../consensus/frames.ts'
import { At, Command, clearHeader, getKey, getU32, getU64, setU32, setU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, Message } from '../../src/protocol/message.ts'
import { hex } from '../golden/bytes.ts'

/** A frame of zeros with fields at byte offsets. */
function header(fields: Readonly<Record<number, string>>): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE)
  for (const [at, text] of Object.entries(fields)) bytes.set(hex(text), Number(at))
  return bytes
}

function newMessage(): Message {
  const message = new Message(new ArrayBuffer(4096), 0, 4096, [])
  message.bytes.fill(0xee)
  clearHeader(message)
  return message
}

/** What the fields' names stand for, written through them. */
function written(write: (message: Message) => void): Uint8Array {
  const message = newMessage()
  write(message)
  return message.bytes.slice(0, HEADER_SIZE)
}

const U128 = Uint32Array.of(0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c)
const U128_BYTES = '000102030405060708090a0b0c0d0e0f'

function put128(message: Message, at: number): void {
  message.words.set(U128, at >>> 2)
}

test('the common fields', () => {
  const bytes = written((m) => {
    put128(m, At.checksum)
    put128(m, At.checksumBody)
    put128(m, At.cluster)
    setU32(m.words, At.size, 0x01020304)
    setU32(m.words, At.view, 5)
    setU32(m.words, At.release, 6)
    m.bytes[At.command] = 7
    m.bytes[At.replica] = 8
    m.bytes[At.group] = 9
  })
  const expected = {
    0: U128_BYTES,
    16: U128_BYTES,
    32: U128_BYTES,
    48: '04030201',
    52: '05000000',
    56: '06000000',
    60: '07 08 09 00',
  }
  assert.deepEqual(bytes, header(expected))
})

test('a request', () => {
  const bytes = written((m) => {
    setU32(m.words, At.size, 300)
    m.bytes[At.command] = Command.request
    put128(m, At.request.client)
    put128(m, At.request.requestChecksum)
    setU64(m.words, At.request.timestamp, 0x01_0203_0405)
    setU64(m.words, At.request.request, 2)
    m.bytes[At.request.operation] = 160
    setU64(m.words, At.request.session, 3)
    setU32(m.words, At.request.userId, 4)
    setU32(m.words, At.request.code, 101)
  })
  const expected = {
    48: '2c010000',
    60: '05',
    128: U128_BYTES,
    144: U128_BYTES,
    160: '0504030201000000',
    168: '0200000000000000',
    176: 'a0',
    184: '0300000000000000',
    192: '04000000',
    196: '65000000',
  }
  assert.deepEqual(bytes, header(expected))
})

test('a reply', () => {
  const bytes = written((m) => {
    m.bytes[At.command] = Command.reply
    put128(m, At.reply.requestChecksum)
    put128(m, At.reply.context)
    put128(m, At.reply.client)
    setU64(m.words, At.reply.op, 1)
    setU64(m.words, At.reply.commit, 2)
    setU64(m.words, At.reply.timestamp, 3)
    setU64(m.words, At.reply.request, 4)
    m.bytes[At.reply.operation] = 128
    setU32(m.words, At.reply.status, 58)
  })
  const expected = {
    60: '08',
    128: U128_BYTES,
    144: U128_BYTES,
    160: U128_BYTES,
    176: '0100000000000000',
    184: '0200000000000000',
    192: '0300000000000000',
    200: '0400000000000000',
    208: '80',
    216: '3a000000',
  }
  assert.deepEqual(bytes, header(expected))
})

test('an eviction', () => {
  const bytes = written((m) => {
    m.bytes[At.command] = Command.eviction
    put128(m, At.eviction.client)
    setU32(m.words, At.eviction.protocolVersion, 11_264)
    setU32(m.words, At.eviction.protocolVersionMin, 11_264)
    m.bytes[At.eviction.reason] = 1
  })
  assert.deepEqual(bytes, header({ 60: '0d', 128: U128_BYTES, 144: '002c0000', 148: '002c0000', 255: '01' }))
})

test('a prepare: what the primary adds lies beside what the client sent', () => {
  const bytes = written((m) => {
    m.bytes[At.command] = Command.prepare
    put128(m, At.prepare.parent)
    put128(m, At.prepare.requestChecksum)
    setU64(m.words, At.prepare.requestTimestamp, 1)
    put128(m, At.prepare.client)
    setU64(m.words, At.prepare.op, 2)
    setU64(m.words, At.prepare.commit, 3)
    setU64(m.words, At.prepare.timestamp, 4)
    setU64(m.words, At.prepare.request, 5)
    m.bytes[At.prepare.operation] = 160
    setU64(m.words, At.prepare.session, 6)
    setU32(m.words, At.prepare.userId, 7)
  })
  const expected = {
    60: '06',
    64: U128_BYTES,
    80: U128_BYTES,
    96: '0100000000000000',
    128: U128_BYTES,
    144: '0200000000000000',
    152: '0300000000000000',
    160: '0400000000000000',
    168: '0500000000000000',
    176: 'a0',
    184: '0600000000000000',
    192: '07000000',
  }
  assert.deepEqual(bytes, header(expected))
  assert.equal(At.prepare.client, At.request.client)
  assert.equal(At.prepare.session, At.request.session)
  assert.equal(At.prepare.operation, At.request.operation)
  assert.equal(At.prepare.request, At.request.request)
})

const REPLICAS_MAX = 5

test('frames between replicas: no two fields of one frame overlap, and all lie in the header', () => {
  const wide = new Set(['checksum', 'digest', 'present', 'nack'])
  const narrow = new Set([
    'logView',
    'lossEpoch',
    'status',
    'pipeline',
    'slots',
    'checkpointMicros',
    'stepsDown',
    'voter',
    'shown',
  ])
  for (const [frame, fields] of Object.entries(FrameAt)) {
    const taken = new Set<number>()
    for (const [field, at] of Object.entries(fields)) {
      const size = wide.has(field) ? 16 : narrow.has(field) ? 4 : field === 'roundTrips' ? 4 * REPLICAS_MAX : 8
      assert.ok(at >= 128 && at + size <= HEADER_SIZE && at % 4 === 0, `${frame}.${field}`)
      for (let i = at; i < at + size; i++) {
        assert.ok(!taken.has(i), `${frame}.${field} overlaps another field`)
        taken.add(i)
      }
    }
  }
})

test('the numbers of the commands are the protocol’s', () => {
  assert.deepEqual(
    { request: Command.request, prepare: Command.prepare, reply: Command.reply, eviction: Command.eviction },
    { request: 5, prepare: 6, reply: 8, eviction: 13 },
  )
  const numbers = Object.values(Command)
  assert.equal(new Set(numbers).size, numbers.length)
})

test('numbers of 64 bits are read as they were written, up to 2^53', () => {
  const words = new Uint32Array(64)
  for (const value of [0, 1, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER]) {
    setU64(words, 8, value)
    assert.equal(getU64(words, 8), value)
  }
  setU32(words, 4, 0xdead_beef)
  assert.equal(getU32(words, 4), 0xdead_beef)
  words.set(U128, 32)
  assert.equal(getKey(words, 128), `${U128[0]}.${U128[1]}.${U128[2]}.${U128[3]}`)
})
