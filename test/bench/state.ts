// How fast the state machine takes batches and gives them back, on one thread without a disk: node test/bench/state.ts [wasm]
import { nativeChecksummer } from 'io-uring-napi'
import { createChecksummer } from '../../src/protocol/checksum.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { At, setU64 } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import { Operation } from '../../src/protocol/operations.ts'
import { StateMachine } from '../../src/state/state-machine.ts'
import type { Disk, DiskDone, FileName } from '../../storage/disk.ts'
import type { ReadFrom } from '../../storage/partition.ts'
import { prepare, sendBody, written } from '../state/prepares.ts'

const FRAME_SIZE_MAX = 2 << 20
const INTERVAL = 200

/** Completes everything on demand; keeps files only when told to. */
class BenchDisk implements Disk {
  readonly files = new Map<FileName, Uint8Array>()
  readonly #keep: boolean
  #done: (() => void)[] = []
  writes = 0
  bytes = 0

  constructor(keep: boolean) {
    this.#keep = keep
  }

  read(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    const content = this.files.get(file)
    if (content !== undefined) bytes.set(content.subarray(position, position + length), from)
    this.#done.push(() => done('ok'))
  }

  write(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    this.writes += 1
    this.bytes += length
    if (this.#keep) {
      let content = this.files.get(file)
      if (content === undefined || content.length < position + length) {
        const larger = new Uint8Array(Math.max(position + length, 2 * (content?.length ?? 1 << 20)))
        if (content !== undefined) larger.set(content)
        content = larger
        this.files.set(file, content)
      }
      content.set(bytes.subarray(from, from + length), position)
    }
    this.#done.push(() => done('ok'))
  }

  sync(_file: FileName, done: DiskDone): void {
    this.#done.push(() => done('ok'))
  }

  remove(_file: FileName, done: DiskDone): void {
    this.#done.push(() => done('ok'))
  }

  list(_directory: FileName, done: (names: readonly string[]) => void): void {
    this.#done.push(() => done([]))
  }

  settle(): void {
    while (this.#done.length > 0) {
      const due = this.#done
      this.#done = []
      for (const done of due) done()
    }
  }
}

function allocate(size: number): { buffer: ArrayBufferLike; offset: number } {
  return { buffer: new ArrayBuffer(size), offset: 0 }
}

const wasm = process.argv.includes('wasm')
const checksummer = (wasm ? null : nativeChecksummer()) ?? createChecksummer()
console.log(`checksums: ${wasm || nativeChecksummer() === null ? 'WebAssembly' : 'native'}`)

class Machine {
  readonly disk: BenchDisk
  readonly state: StateMachine
  op = 0
  executing = 0
  checkpoints = 0
  checkpointing = 0

  constructor(keep: boolean, partitions: number, topics = 1) {
    this.disk = new BenchDisk(keep)
    this.state = new StateMachine({
      disk: this.disk,
      checksummer,
      allocate,
      frameSizeMax: FRAME_SIZE_MAX,
      checkpointInterval: INTERVAL,
      largeChunks: 24,
      readBuffers: 8,
    })
    const op = (operation: number, body: Uint8Array): void => this.execute(prepare(0, operation, body))
    op(
      Operation.createStream,
      written((w) => encodeCreateStream(w, { name: 's' })),
    )
    for (let i = 0; i < topics; i++)
      op(
        Operation.createTopic,
        written((w) => encodeCreateTopic(w, { stream: 0, name: `t${i}`, partitions, options: {} })),
      )
  }

  execute(message: Message): void {
    this.op += 1
    setU64(message.words, At.prepare.op, this.op)
    setU64(message.words, At.prepare.timestamp, 1_000_000 + this.op)
    while (!this.state.canExecute()) this.disk.settle()
    const started = performance.now()
    const { status } = this.state.execute(message)
    this.executing += performance.now() - started
    if (status !== 0) throw new Error(`status ${status}`)
    if (this.op % INTERVAL === 0) this.checkpoint()
  }

  checkpoint(): void {
    const started = performance.now()
    this.state.snapshot()
    let flushed = false
    this.state.flush(() => {
      flushed = true
    })
    this.checkpointing += performance.now() - started
    this.checkpoints += 1
    while (!flushed) this.disk.settle()
    this.state.checkpointDurable(this.op)
    this.disk.settle()
  }
}

function batches(count: number, size: number, partitions: number): Message[] {
  const payloads = Array.from({ length: count }, () => new Uint8Array(size).fill(7))
  return Array.from({ length: partitions }, (_, partition) =>
    prepare(0, Operation.sendMessages, sendBody(0, 0, { kind: 'partition', partition }, payloads)),
  )
}

function report(what: string, bytes: number, ms: number, times: number): void {
  const rate = (bytes / 1e6 / (ms / 1e3)).toFixed(0).padStart(6)
  console.log(`${what.padEnd(64)} ${rate} MB/s ${((1e3 * ms) / times).toFixed(1).padStart(8)} µs each`)
}

function append(count: number, size: number, partitions: number, total: number): void {
  const machine = new Machine(false, partitions)
  const prepared = batches(count, size, partitions)
  const batch = count * (48 + size) + 256
  const times = Math.ceil(total / batch)
  for (let i = 0; i < times / 4; i++) machine.execute(prepared[i % partitions] as Message)
  machine.executing = 0
  machine.checkpointing = 0
  machine.checkpoints = 0
  const { writes, bytes } = machine.disk
  for (let i = 0; i < times; i++) machine.execute(prepared[i % partitions] as Message)
  report(`append ${count} × ${size} B, ${partitions} partitions`, times * batch, machine.executing, times)
  const mean = (machine.disk.bytes - bytes) / 1024 / (machine.disk.writes - writes)
  const checkpoint = machine.checkpointing / Math.max(1, machine.checkpoints)
  console.log(`  ${mean.toFixed(0)} KiB per write; snapshot and start of a flush ${checkpoint.toFixed(2)} ms`)
}

function read(cold: boolean, count: number, size: number, ask: number, total: number): void {
  const machine = new Machine(cold, 1)
  const [message] = batches(count, size, 1) as [Message]
  const batch = count * (48 + size) + 256
  const stored = Math.ceil((cold ? 300e6 : 60e6) / batch)
  for (let i = 0; i < stored; i++) machine.execute(message)
  const { found } = machine.state.partition(0, 0, 0)
  if (found === null) throw new Error('no partition')
  const target = new Uint8Array(FRAME_SIZE_MAX)
  const first = cold ? 0 : Math.max(0, found.log.nextOffset - Math.floor(40e6 / batch) * count)
  const last = cold ? Math.floor(150e6 / batch) * count : found.log.nextOffset
  let bytes = 0
  let polls = 0
  let offset = first
  const poll = (): void => {
    const from: ReadFrom = { kind: 'offset', offset }
    found.log.read({ from, count: ask, bytesMax: FRAME_SIZE_MAX - 272 }, target, 272, (result) => {
      if (result.outcome !== 'ok' || result.count === 0) throw new Error(`read: ${JSON.stringify(result)}`)
      bytes += result.bytes
      offset = result.nextOffset >= last ? first : result.nextOffset
    })
    machine.disk.settle()
    polls += 1
  }
  while (bytes < total / 4) poll()
  bytes = 0
  polls = 0
  const started = performance.now()
  while (bytes < total) poll()
  report(`read ${cold ? 'cold' : 'hot '} ${ask} of ${count} × ${size} B`, bytes, performance.now() - started, polls)
}

function manyPartitions(topics: number): void {
  const machine = new Machine(false, 1000, topics)
  machine.checkpoint()
  machine.checkpointing = 0
  const [message] = batches(10, 100, 1) as [Message]
  for (let round = 0; round < 50; round++) {
    machine.execute(message)
    machine.checkpoint()
  }
  console.log(`snapshot of ${topics * 1000} partitions: ${(machine.checkpointing / 50).toFixed(2)} ms`)
}

append(1000, 1000, 1, 2e9)
append(1000, 1000, 16, 2e9)
append(1000, 100, 4, 400e6)
append(10, 100, 4, 20e6)
append(1, 100, 64, 4e6)
read(false, 1000, 1000, 1000, 4e9)
read(false, 1000, 1000, 100, 1e9)
read(false, 10, 100, 1000, 400e6)
read(true, 1000, 1000, 1000, 2e9)
manyPartitions(1)
manyPartitions(20)
