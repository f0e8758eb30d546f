// How long producing stands still when the primary is killed: `node_modules/.bin/node test/bench/failover.ts [--kills N] [--format json]`.
//
// Three nodes of its own on free ports, in a temporary directory. One client produces, one message after the other; the
// primary is killed with SIGKILL, and what counts is the time from the kill to the acknowledgement of the first message that
// was sent after it. Then the node is started again and catches up before the next kill. In the end everything that was
// acknowledged is read back: once, in order.
import { parseArgs } from 'node:util'
import { Recorder } from '../../src/cli/bench/recorder.ts'
import { fields } from '../../src/cli/render/table.ts'
import type { Client } from '../../src/index.ts'
import { type NodeProcess, type TestCluster, withClient, withCluster } from '../integration/processes.ts'

const { values } = parseArgs({
  options: { kills: { type: 'string', default: '20' }, format: { type: 'string', default: 'text' } },
})
const kills = Number(values.kills)
if (!Number.isInteger(kills) || kills < 1) throw new Error('--kills must be a whole number from 1')

/** Produces without a pause; each send waits for the one before it. */
class Pulse {
  readonly #client: Client
  readonly acknowledged: number[] = []
  #sent = 0
  #waiting: { after: number; done: (at: number) => void } | null = null
  #stopped = false
  #gate: PromiseWithResolvers<void> | null = null
  #paused: PromiseWithResolvers<void> | null = null
  readonly ended: Promise<void>

  constructor(client: Client) {
    this.#client = client
    this.ended = this.#run()
  }

  async #run(): Promise<void> {
    const to = { stream: 'failover', topic: 'pulse', partition: 0 }
    while (!this.#stopped) {
      this.#paused?.resolve()
      await this.#gate?.promise
      const sentAt = performance.now()
      const value = this.#sent++
      await this.#client.sendBatch(to, [{ payload: String(value) }])
      this.acknowledged.push(value)
      if (this.#waiting !== null && sentAt >= this.#waiting.after) {
        this.#waiting.done(performance.now())
        this.#waiting = null
      }
    }
  }

  /** When the first message that was sent after now is acknowledged. */
  next(): Promise<number> {
    return new Promise((done) => {
      this.#waiting = { after: performance.now(), done }
    })
  }

  /** A node that starts again needs its time, and journals are no longer than they are. */
  async pause(): Promise<void> {
    this.#gate = Promise.withResolvers()
    this.#paused = Promise.withResolvers()
    await this.#paused.promise
  }

  resume(): void {
    this.#gate?.resolve()
    this.#gate = null
    this.#paused = null
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.ended
  }
}

async function killPrimary(cluster: TestCluster, pulse: Pulse): Promise<{ ms: number; node: NodeProcess }> {
  const node = await cluster.primary()
  const killedAt = performance.now()
  process.kill(node.pid, 'SIGKILL')
  const next = pulse.next()
  const at = await Promise.race([next, pulse.ended.then(() => Promise.reject(new Error('the producer ended')))])
  await node.signal('SIGKILL')
  return { ms: at - killedAt, node }
}

async function readBack(client: Client, acknowledged: readonly number[]): Promise<void> {
  let i = 0
  for await (const message of client.consumer({ stream: 'failover', topic: 'pulse' })) {
    const value = Number(new TextDecoder().decode(message.payload))
    if (value !== acknowledged[i])
      throw new Error(`offset ${message.offset} holds ${value} instead of ${acknowledged[i]}`)
    i++
  }
  if (i !== acknowledged.length) throw new Error(`${acknowledged.length} messages were acknowledged, ${i} are there`)
}

const recorder = new Recorder()
const runs: number[] = []

/** @returns the number of acknowledged messages, all of which are there */
async function measure(cluster: TestCluster, client: Client): Promise<number> {
  await client.createStream('failover')
  await client.createTopic('failover', 'pulse', { partitions: 1 })
  await cluster.converged()
  const pulse = new Pulse(client)
  for (let i = 0; i < kills; i++) {
    const { ms, node } = await killPrimary(cluster, pulse)
    recorder.record(ms)
    runs.push(Math.round(ms * 10) / 10)
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${i + 1} of ${kills}: ${ms.toFixed(1)} ms`)
    await pulse.pause()
    node.start()
    await cluster.converged()
    pulse.resume()
    await pulse.next()
  }
  await pulse.stop()
  await readBack(client, pulse.acknowledged)
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  return pulse.acknowledged.length
}

const acknowledged = await withCluster(3, { frameSizeMax: 256 * 1024, journalSlots: 256 }, async (cluster) => {
  await cluster.primary()
  return await withClient(cluster.servers, (client) => measure(cluster, client))
})
const latency = recorder.percentiles()
if (latency === null) throw new Error('nothing was measured')
if (values.format === 'json') {
  console.log(JSON.stringify({ benchmark: 'failover', kills, acknowledged, latency, runs }))
} else {
  const ms = (value: number): string => `${value.toFixed(1)} ms`
  process.stdout.write(
    fields([
      ['benchmark', `failover: SIGKILL of the primary until the next acknowledged produce, ${kills} times`],
      ['median', ms(latency.p50)],
      ['spread', `min ${ms(latency.min)}, p90 ${ms(latency.p90)}, max ${ms(latency.max)}`],
      ['each', runs.join(' ')],
      ['checked', `${acknowledged} acknowledged messages, all there, once and in order`],
    ]),
  )
}
