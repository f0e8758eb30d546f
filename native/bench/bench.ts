// What the drivers and the checksums cost on this machine:  node native/bench/bench.ts [checksum|echo|stream|write …]
// Both ends of the sockets live on one thread, so the figures are what software costs, not what a network takes.
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createChecksummer } from '../../src/protocol/checksum.ts'
import { type Checksummer, type IoDriver, nativeChecksummer, openDriver } from '../src/index.ts'

const MIB = 2 ** 20
const ROUND_MS = 700
const KINDS = ['io_uring', 'portable'] as const

const sections = { checksum, echo, stream, write }
const wanted = process.argv.slice(2)
for (const [name, run] of Object.entries(sections)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  console.log(`\n${name}`)
  await run()
}

function checksum(): void {
  const implementations: [string, Checksummer | null][] = [
    ['native', nativeChecksummer()],
    ['wasm', createChecksummer()],
  ]
  const out = new Uint32Array(4)
  for (const size of [256, 4096, 65536, MIB]) {
    const data = new Uint8Array(size).fill(7)
    for (const [name, checksummer] of implementations) {
      if (checksummer === null) continue
      const mac = nanoseconds(() => checksummer.mac(data, 0, size, out, 0))
      const xxh3 = nanoseconds(() => checksummer.xxh3(data, 0, size, out, 0))
      row(`${name} ${size} B`, [
        `mac ${mac.toFixed(0)} ns, ${(size / mac).toFixed(1)} GB/s`,
        `xxh3 ${xxh3.toFixed(0)} ns, ${(size / xxh3).toFixed(1)} GB/s`,
      ])
    }
  }
  const batch = makeBatch(1000, 1024)
  for (const [name, checksummer] of implementations) {
    if (checksummer === null) continue
    checksummer.sealFrames(batch, 0, batch.length)
    const verify = nanoseconds(() => checksummer.verifyBatch(batch, 0, batch.length))
    const seal = nanoseconds(() => checksummer.sealBatch(batch, 0, batch.length))
    row(`${name} batch of 1000 x 1 KiB`, [
      `verify ${(verify / 1000).toFixed(0)} us, ${(batch.length / verify).toFixed(1)} GB/s`,
      `seal again ${(seal / 1000).toFixed(0)} us`,
    ])
  }
}

async function echo(): Promise<void> {
  for (const kind of KINDS) {
    const driver = await openDriver({ kind })
    const { bytes, client, server } = await connected(driver)
    for (const size of [128, 4096]) {
      const latencies: number[] = []
      const cpu = process.cpuUsage()
      const until = driver.now() + ROUND_MS
      await new Promise<void>((resolve) => {
        const answer = (): void => {
          driver.send(server, bytes, MIB, size, nothing)
          driver.receive(server, bytes, MIB, size, true, answer)
        }
        driver.receive(server, bytes, MIB, size, true, answer)
        let start = driver.now()
        const ask = (): void => {
          const now = driver.now()
          latencies.push(now - start)
          if (now > until) return resolve()
          start = now
          driver.send(client, bytes, 0, size, nothing)
          driver.receive(client, bytes, 2 * MIB, size, true, ask)
        }
        ask()
      })
      const { user, system } = process.cpuUsage(cpu)
      latencies.sort((a, b) => a - b)
      const at = (q: number): string =>
        `${((latencies[Math.floor(latencies.length * q)] as number) * 1000).toFixed(1)} us`
      const perTrip = ((user + system) / latencies.length).toFixed(1)
      row(`${kind} ${size} B`, [`p50 ${at(0.5)}`, `p99 ${at(0.99)}`, `${perTrip} us CPU per round trip`])
    }
    await driver.close()
  }
}

async function stream(): Promise<void> {
  for (const kind of KINDS) {
    for (const size of [4096, 65536, MIB]) {
      const driver = await openDriver({ kind })
      const { bytes, client, server } = await connected(driver)
      let received = 0
      let running = true
      const cpu = process.cpuUsage()
      const started = driver.now()
      const until = started + ROUND_MS
      await new Promise<void>((resolve) => {
        const sent = (result: number): void => {
          if (result < 0 || !running) return
          driver.send(client, bytes, 0, size, sent)
        }
        for (let i = 0; i < 4; i++) sent(0)
        const took = (result: number): void => {
          received += result
          if (driver.now() > until) {
            running = false
            resolve()
          } else driver.receive(server, bytes, 2 * MIB, size, true, took)
        }
        driver.receive(server, bytes, 2 * MIB, size, true, took)
      })
      const elapsed = driver.now() - started
      const { user, system } = process.cpuUsage(cpu)
      row(`${kind} ${size} B`, [
        `${(received / elapsed / 1000).toFixed(0)} MB/s`,
        `${((user + system) / (received / MIB)).toFixed(0)} us CPU per MiB`,
        `${((user + system) / (received / size)).toFixed(1)} us CPU per message (both ends)`,
      ])
      await driver.close()
    }
  }
}

async function write(): Promise<void> {
  const fileSize = 256 * MIB
  const directory = mkdtempSync(join(process.cwd(), '.bench-'))
  try {
    for (const kind of KINDS) {
      const driver = await openDriver({ kind })
      const slab = driver.allocate(16 * MIB)
      const bytes = new Uint8Array(slab.buffer, slab.offset, 16 * MIB).fill(3)
      const fd = driver.open(join(directory, kind), { create: true, direct: true })
      // Really written first, as a journal is at format.
      for (let at = 0; at < fileSize; at += 16 * MIB) {
        await new Promise((resolve) => driver.write(fd, bytes, 0, 16 * MIB, at, resolve))
      }
      await new Promise((resolve) => driver.sync(fd, resolve))
      for (const size of [4096, 65536, MIB]) {
        for (const depth of [1, 8]) {
          const latencies: number[] = []
          let position = 0
          const cpu = process.cpuUsage()
          const begun = driver.now()
          const until = begun + ROUND_MS
          const lane = (i: number): Promise<void> =>
            new Promise((resolve) => {
              let start = 0
              const next = (): void => {
                start = driver.now()
                if (start > until) return resolve()
                const at = position % fileSize
                position += size
                driver.write(fd, bytes, i * MIB, size, at, () => {
                  driver.sync(fd, () => {
                    latencies.push(driver.now() - start)
                    next()
                  })
                })
              }
              next()
            })
          await Promise.all(Array.from({ length: depth }, (_, i) => lane(i)))
          const elapsed = driver.now() - begun
          const { user, system } = process.cpuUsage(cpu)
          latencies.sort((a, b) => a - b)
          row(`${kind} ${size} B, ${depth} in flight`, [
            `${((latencies.length / elapsed) * 1000).toFixed(0)} durable writes/s`,
            `${((latencies.length * size) / elapsed / 1000).toFixed(0)} MB/s`,
            `p50 ${((latencies[latencies.length >> 1] as number) * 1000).toFixed(0)} us`,
            `${((user + system) / latencies.length).toFixed(0)} us CPU each`,
          ])
        }
      }
      await driver.close()
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

async function connected(driver: IoDriver): Promise<{ bytes: Uint8Array; client: number; server: number }> {
  const slab = driver.allocate(4 * MIB)
  const accepted = Promise.withResolvers<number>()
  const listener = await driver.listen('127.0.0.1', 0, accepted.resolve)
  const client = await new Promise<number>((resolve) => driver.connect('127.0.0.1', listener.port, resolve))
  const server = await accepted.promise
  listener.close()
  return { bytes: new Uint8Array(slab.buffer, slab.offset, 4 * MIB), client, server }
}

function nothing(): void {}

/** Per call: the best of five rounds. */
function nanoseconds(call: () => void): number {
  for (let i = 0; i < 2000; i++) call()
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 5; round++) {
    let calls = 0
    const start = performance.now()
    let now = start
    while (now - start < 60) {
      for (let i = 0; i < 100; i++) call()
      calls += 100
      now = performance.now()
    }
    best = Math.min(best, ((now - start) * 1e6) / calls)
  }
  return best
}

function makeBatch(count: number, payload: number): Uint8Array {
  const size = 256 + count * (48 + payload)
  const batch = new Uint8Array(size)
  const view = new DataView(batch.buffer)
  view.setUint32(32, size, true)
  view.setUint32(48, count, true)
  for (let n = 0; n < count; n++) {
    const at = 256 + n * (48 + payload)
    view.setUint32(at + 24, n, true)
    view.setUint32(at + 36, payload, true)
  }
  return batch
}

function row(name: string, cells: readonly string[]): void {
  console.log(`  ${name.padEnd(30)} ${cells.join('   ')}`)
}
