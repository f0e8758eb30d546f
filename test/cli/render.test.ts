import assert from 'node:assert/strict'
import { test } from 'node:test'
import { progressLine } from '../../src/cli/bench/progress.ts'
import { makeReport, renderReport } from '../../src/cli/bench/report.ts'
import { summarize } from '../../src/cli/commands/status.ts'
import { OutputBuffer } from '../../src/cli/output-buffer.ts'
import { jsonMessage, printText } from '../../src/cli/render/message.ts'
import { count, fields, size, table, time } from '../../src/cli/render/table.ts'
import type { PolledMessage } from '../../src/index.ts'
import type { NodeStatus } from '../../src/server/status.ts'

test('a table aligns its columns and ends lines without spaces', () => {
  const rows = [
    { id: 1, name: 'shop' },
    { id: 12, name: 'a' },
  ]
  const columns = [
    { title: 'id', value: (row: (typeof rows)[0]) => row.id, align: 'right' as const },
    { title: 'name', value: (row: (typeof rows)[0]) => row.name },
  ]
  assert.equal(table(rows, columns), 'ID  NAME\n 1  shop\n12  a\n')
  assert.equal(table([], columns), 'ID  NAME\n')
})

test('numbers are written for people', () => {
  assert.equal(size(0), '0 B')
  assert.equal(size(1536), '1.5 KiB')
  assert.equal(size(3 * 1024 ** 4 * 1024), '3072.0 TiB')
  assert.equal(count(1234567.4), '1,234,567')
  assert.equal(time(1_769_860_800_000_042), '2026-01-31T12:00:00.000042Z')
  assert.equal(
    fields([
      ['a', 1],
      ['long name', 'x'],
    ]),
    'a          1\nlong name  x\n',
  )
})

test('a message as JSON holds what is not text as base64', () => {
  const message = {
    partition: 2,
    offset: 7,
    timestamp: 1_769_860_800_000_042,
    originTimestamp: 1_769_860_800_000_001,
    id: 255n,
    headers: { source: 'import', big: 2n ** 64n, raw: Uint8Array.of(1, 2), n: 5, yes: true },
    payload: Uint8Array.of(0xff, 0xfe),
  }
  assert.deepEqual(jsonMessage(message), {
    partition: 2,
    offset: 7,
    timestamp: '2026-01-31T12:00:00.000042Z',
    originTimestamp: '2026-01-31T12:00:00.000001Z',
    id: '000000000000000000000000000000ff',
    headers: { source: 'import', big: '18446744073709551616', raw: '\u0001\u0002', n: 5, yes: true },
    payload: { base64: '//4=' },
  })
  assert.equal(jsonMessage({ ...message, payload: new TextEncoder().encode('čau') }).payload, 'čau')
})

test('small writes leave together, large ones at once', async () => {
  const written: string[] = []
  const output = new OutputBuffer((text) => {
    written.push(Buffer.from(text as Uint8Array).toString())
  })
  await output.write(Buffer.from('a'))
  await output.write(Buffer.from('b'))
  assert.equal(written.length, 0)
  await output.write(Buffer.alloc(200_000, 'x'))
  assert.deepEqual(
    written.map((text) => text.length),
    [2, 200_000],
  )
  await output.write(Buffer.from('c'))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(written.at(-1), 'c')
})

test('a reader that takes nothing is waited for, however little is written at a time', async () => {
  let written = 0
  const waiting: (() => void)[] = []
  const output = new OutputBuffer((bytes) => {
    written += bytes.length
    return new Promise<void>((resolve) => waiting.push(resolve))
  })
  let done = 0
  const writing = (async () => {
    for (; done < 20; done++) {
      await output.write(Buffer.alloc(1000))
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  const turns = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  await turns()
  assert.ok(written <= 2000, `${written} bytes are held for somebody who reads nothing`)
  // Nor is it said to be written.
  assert.notEqual(output.flush(), undefined)
  for (let i = 0; i < 40; i++) {
    for (const read of waiting.splice(0)) read()
    await turns()
  }
  await writing
  assert.equal(written, 20_000)
})

test('lines of several partitions stay whole, whoever is waited for', async () => {
  let text = ''
  const waiting: (() => void)[] = []
  const output = new OutputBuffer((bytes) => {
    text += Buffer.from(bytes as Uint8Array).toString()
    return new Promise<void>((resolve) => waiting.push(resolve))
  })
  const message = (value: string): PolledMessage => ({ payload: Buffer.from(value) }) as unknown as PolledMessage
  let done = false
  const writing = Promise.all([printText(output, message('aa')), printText(output, message('bb'))])
  void writing.then(() => {
    done = true
  })
  while (!done) {
    for (const read of waiting.splice(0)) read()
    await new Promise((resolve) => setImmediate(resolve))
  }
  void output.flush()
  assert.equal(text, 'aa\nbb\n')
})

const node = (replica: number, change: Partial<NodeStatus> = {}): NodeStatus => ({
  cluster: '0'.repeat(32),
  replica,
  replicas: 3,
  view: 4,
  status: 'normal',
  primary: 1,
  isPrimary: replica === 1,
  op: 10,
  commit: 10,
  checkpoint: 0,
  transfer: null,
  segments: { damaged: 0, repaired: 0 },
  replacement: false,
  durability: 'disk',
  durable: 10,
  lossy: false,
  lossEpoch: 0,
  stepDowns: 0,
  driver: { kind: 'io_uring', reason: '' },
  connections: 0,
  buffers: { used: 0, total: 1 },
  peers: [],
  pid: 1,
  version: '0.1.0',
  uptimeMs: 1,
  data: '/tmp',
  addresses: {
    client: '127.0.0.1:8090',
    tls: null,
    websocket: null,
    replica: '127.0.0.1:8190',
    http: '127.0.0.1:3000',
  },
  ...change,
})
const up = (status: NodeStatus) => ({ http: 'h:1', status, reason: null })
const down = { http: 'h:1', status: null, reason: 'not running' }

test('a primary that a majority follows is one that takes requests', () => {
  assert.deepEqual(summarize([up(node(0)), up(node(1)), up(node(2))]), { reachable: 3, total: 3, primary: 1, view: 4 })
  assert.equal(summarize([up(node(0)), up(node(1)), down]).primary, 1)
  assert.equal(summarize([down, up(node(1)), down]).primary, null)
  assert.equal(summarize([up(node(0, { view: 5, status: 'view_change' })), up(node(1)), down]).primary, null)
  assert.deepEqual(summarize([up(node(0, { replicas: 1, isPrimary: true }))]), {
    reachable: 1,
    total: 1,
    primary: 0,
    view: 4,
  })
})

const report = makeReport(
  'produce',
  { servers: ['127.0.0.1:8090'], serverVersion: '0.1.0', nodes: 3, durability: 'disk', driver: 'io_uring' },
  { producers: 1, rate: null },
  { requests: 200, messages: 200_000, elapsedMs: 1000, unsent: 3 },
  { min: 1, mean: 2, p50: 2, p90: 12.345, p99: 150, p999: 200, max: 250, samples: 200 },
  1024,
  100,
  false,
)

test('a report counts payload in megabytes of a million bytes', () => {
  assert.equal(report.messagesPerSecond, 200_000)
  assert.equal(report.megabytesPerSecond, 204.8)
  assert.equal(report.correctedForCoordinatedOmission, true)
})

test('a report says what is needed to believe it', () => {
  const text = renderReport(report)
  assert.match(text, /durability +disk on 2 of 3 nodes before the acknowledgement/)
  assert.match(text, /endpoints +127\.0\.0\.1:8090/)
  assert.match(text, /galgo 0\.1\.0, io_uring/)
  assert.match(text, /204\.8 MB\/s, 200,000 messages\/s/)
  assert.match(text, /p50 2\.000 ms, p90 12\.35 ms, p99 150\.0 ms, p99\.9 200\.0 ms, max 250\.0 ms/)
  assert.match(text, /3 requests were due but never sent/)
})

test('the progress line says how far and how fast', () => {
  assert.equal(progressLine(3.2, 10, 12_000, 5000, 1024), '3 of 10 s  12,000 messages  5,000/s  5.1 MB/s')
  assert.equal(progressLine(3.2, Number.POSITIVE_INFINITY, 0, 0, 1), '3 s  0 messages  0/s  0.0 MB/s')
})
