// Which files go that no state names any more, and which stay.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodeDeleteSegments } from '../../src/protocol/commands/delete-segments.ts'
import { encodeGetTopic } from '../../src/protocol/commands/get-topic.ts'
import { Operation } from '../../src/protocol/operations.ts'
import { StateMachine } from '../../src/state/state-machine.ts'
import { allocate, Rig } from '../storage/rig.ts'
import { checksummer, prepare, sendBody, written } from './prepares.ts'

const PARTITION = 'streams/0.1/topics/0.2/partitions/0.2'

/** A partition with segments of one message each; the first two of them have gone. */
class Node {
  readonly rig = new Rig()
  readonly machine = new StateMachine({
    disk: this.rig.disk,
    checksummer,
    allocate,
    frameSizeMax: 128 * 1024,
    checkpointInterval: 8,
    largeChunks: 2,
    readBuffers: 1,
    segmentSize: 4096,
  })
  op = 0

  constructor() {
    this.execute(
      Operation.createStream,
      written((w) => encodeCreateStream(w, { name: 's' })),
    )
    this.execute(
      Operation.createTopic,
      written((w) => encodeCreateTopic(w, { stream: 0, name: 't', partitions: 1, options: {} })),
    )
    for (let i = 0; i < 5; i++) this.send()
    this.deleteSegments(2)
    const snapshot = this.checkpoint()
    this.machine.restore(snapshot)
    this.rig.settle()
  }

  execute(operation: number, body: Uint8Array): void {
    assert.equal(this.machine.execute(prepare(++this.op, operation, body)).status, 0)
  }

  send(): void {
    const message = new Uint8Array(4000)
    this.execute(Operation.sendMessages, sendBody(0, 0, { kind: 'partition', partition: 0 }, [message]))
  }

  deleteSegments(count: number): void {
    const request = { stream: 0, topic: 0, partition: 0, count }
    this.execute(
      Operation.deleteSegments,
      written((w) => encodeDeleteSegments(w, request)),
    )
  }

  /** Up to where the superblock would name it. */
  checkpoint(): Uint8Array {
    const snapshot = this.machine.snapshot()
    assert.equal(
      this.rig.result<string>((done) => this.machine.flush(done)),
      'ok',
    )
    return snapshot
  }

  put(...names: string[]): void {
    for (const name of names) {
      const written = (done: (result: string) => void): void =>
        this.rig.disk.write(name, 0, new Uint8Array(allocate(4096).buffer), 0, 4096, done)
      assert.equal(this.rig.result(written), 'ok')
    }
  }

  get names(): string[] {
    return this.rig.disk.names()
  }
}

function segment(offset: number, kind = 'log'): string {
  return `${PARTITION}/${String(offset).padStart(20, '0')}.${kind}`
}

test('what the state at an op does not name goes; what later ops made, and what is none of its files, stays', () => {
  const node = new Node()
  const stay = [
    ...node.names,
    // Of what comes after it.
    segment(5),
    segment(5, 'index'),
    segment(7),
    'streams/1.9/topics/0.10/partitions/0.10/x.log',
    'streams/0.1/topics/1.9/partitions/0.9/x.log',
    'streams/0.1/topics/0.2/partitions/0.9/x.log',
    // Of somebody else.
    'checkpoint.3',
    'streams/lost+found/x',
    'streams/0.1/notes/x',
    'streams/0.1/topics/notes/x',
    `${PARTITION}/notes`,
    `${PARTITION}/3.log`,
  ]
  const go = [
    segment(0),
    segment(1, 'index'),
    'streams/0.0/topics/0.2/partitions/0.2/x.log',
    'streams/7.8/topics/0.8/partitions/0.8/x.log',
    'streams/0.1/topics/0.1/partitions/0.2/x.log',
    'streams/0.1/topics/4.8/partitions/0.8/x.log',
    'streams/0.1/topics/0.2/partitions/0.1/x.log',
    'streams/0.1/topics/0.2/partitions/5.8/x.log',
  ]
  node.put(...stay.filter((name) => !node.names.includes(name)), ...go)
  assert.equal(node.op, 8)
  node.machine.removeLeftovers(8)
  node.rig.settle()
  assert.deepEqual(node.names, [...stay].sort())
})

test('what later ops write or drop while they are looked for stays, and no checkpoint is durable before the end', () => {
  for (let steps = 0; steps < 12; steps++) {
    const node = new Node()
    node.put(segment(0), segment(1))
    const { disk } = node.rig
    let asked = 0
    let most = 0
    for (const what of ['list', 'remove'] as const) {
      const ask = disk[what].bind(disk) as (name: string, done: (answer: unknown) => void) => void
      disk[what] = (name: string, done: (answer: never) => void) => {
        most = Math.max(most, (asked += 1))
        ask(name, (answer) => {
          asked -= 1
          done(answer as never)
        })
      }
    }
    node.machine.removeLeftovers(8)
    node.rig.steps(steps)
    node.deleteSegments(1)
    node.send()
    node.machine.snapshot()
    let flushed: string[] = []
    node.machine.flush(() => {
      flushed = node.names
    })
    node.rig.settle()
    assert.ok(flushed.length > 0 && !flushed.includes(segment(0)) && !flushed.includes(segment(1)))
    assert.ok(node.names.includes(segment(2)), 'the checkpoint before counts it')
    assert.ok(node.names.includes(segment(5)))
    assert.equal(most, 1, 'one after the other')
  }
})

test('what was dropped since the checkpoint stays: it counts it', () => {
  for (const what of ['segments', 'purge', 'topic'] as const) {
    const node = new Node()
    const counted = node.names.filter((name) => name.startsWith('streams/'))
    node.put(segment(0))
    if (what === 'segments') node.deleteSegments(2)
    const place = written((w) => encodeGetTopic(w, { stream: 0, topic: 0 }))
    if (what === 'purge') node.execute(Operation.purgeTopic, place)
    if (what === 'topic') node.execute(Operation.deleteTopic, place)
    node.machine.removeLeftovers(8)
    node.rig.settle()
    for (const name of counted) assert.ok(node.names.includes(name), `${what}: ${name}`)
    // With its topic it goes later.
    assert.equal(node.names.includes(segment(0)), what !== 'segments')
    node.checkpoint()
    node.machine.checkpointDurable(16)
    node.rig.settle()
    assert.ok(!node.names.includes(segment(0)) && !node.names.includes(segment(2)), what)
  }
})

test('refused by the disk, it is tried again with the next checkpoint', () => {
  const node = new Node()
  node.put(segment(0))
  const { disk } = node.rig
  const remove = disk.remove.bind(disk)
  disk.remove = (_name, done) => disk.list('', () => done('failed'))
  node.machine.removeLeftovers(8)
  node.rig.settle()
  assert.ok(node.names.includes(segment(0)))
  disk.remove = remove
  node.checkpoint()
  node.machine.checkpointDurable(8)
  node.rig.settle()
  assert.ok(!node.names.includes(segment(0)))
})
