// What `galgo cluster` runs: a supervisor and its nodes, all real processes.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../chaos/ports.ts'
import { formatNode } from '../../src/server/format.ts'
import type { NodeStatus } from '../../src/server/status.ts'
import { COMPILED_ONCE, temporaryDirectory, until, withClient } from './processes.ts'

const CLUSTER = fileURLToPath(new URL('cluster-process.ts', import.meta.url))

interface Event {
  readonly event: string
  readonly node?: number
  readonly primary?: number
  readonly nodes?: readonly {
    readonly node: number
    readonly client: string
    readonly http: string
    readonly pid: number
  }[]
}

class Supervisor {
  readonly child: ChildProcess
  readonly events: Event[] = []
  readonly exited: Promise<number | string>
  errors = ''

  /** Clients are served on the first ports. */
  constructor(data: string, nodes: number, ports: readonly number[], runtime = process.execPath) {
    const [clientPort, replicaPort, httpPort] = [0, 1, 2].map((i) => ports[i * nodes])
    this.child = spawn(runtime, [CLUSTER, JSON.stringify({ data, nodes, clientPort, replicaPort, httpPort })], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: COMPILED_ONCE,
    })
    let rest = ''
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.events.push(JSON.parse(line) as Event)
    })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text
    })
    this.exited = new Promise((resolve) => {
      this.child.once('close', (code, signal) => resolve(signal ?? code ?? 0))
    })
  }

  async event(name: string, node?: number): Promise<Event> {
    return await until(`the event ${name} (errors: ${this.errors})`, async () =>
      this.events.find((event) => event.event === name && (node === undefined || event.node === node)),
    )
  }

  async end(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.exited
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** The node that was killed, in its new process. */
async function restarted(killed: { readonly http: string; readonly pid: number }): Promise<{ readonly pid: number }> {
  return await until('the killed node', async () => {
    try {
      const response = await fetch(`${killed.http}/status`, { headers: { connection: 'close' } })
      const status = (await response.json()) as { pid: number; status: string }
      return status.status === 'normal' && status.pid !== killed.pid ? status : undefined
    } catch {
      return undefined
    }
  })
}

test('three nodes: a killed one is started again; when the supervisor is killed its nodes end by themselves', async () => {
  const directory = temporaryDirectory()
  const data = join(directory.path, 'cluster')
  const supervisor = new Supervisor(data, 3, await freePorts(9))
  try {
    const { nodes = [], primary } = await supervisor.event('ready')
    assert.equal(nodes.length, 3)
    const killed = nodes.find((node) => node.node === primary)
    assert.ok(killed)
    await withClient(
      nodes.map((node) => node.client),
      async (client) => {
        await client.createStream('a')
        process.kill(killed.pid, 'SIGKILL')
        await supervisor.event('ended', primary)
        const { node: successor } = await supervisor.event('primary')
        assert.notEqual(successor, primary)
        await client.createStream('b')
      },
    )
    const back = await restarted(killed)
    const pids = [...nodes.filter((node) => node !== killed).map((node) => node.pid), back.pid]
    assert.ok(pids.every(isAlive))
    await supervisor.end()
    await until('the end of the nodes', async () => (pids.some(isAlive) ? undefined : true))
  } finally {
    await supervisor.end()
    directory.remove()
  }
})

test('a node whose process cannot be started is tried again, and keeps no stop waiting', async () => {
  const directory = temporaryDirectory()
  const runtime = join(directory.path, 'node')
  const away = `${runtime}.away`
  copyFileSync(process.execPath, runtime)
  const supervisor = new Supervisor(join(directory.path, 'cluster'), 3, await freePorts(9), runtime)
  const attempts = async (count: number): Promise<void> => {
    await until(`attempt ${count} (errors: ${supervisor.errors})`, async () =>
      supervisor.events.filter(({ event }) => event === 'ended').length >= count ? true : undefined,
    )
  }
  try {
    const { nodes = [] } = await supervisor.event('ready')
    const [killed] = nodes
    assert.ok(killed)
    // As when another release of it is being installed.
    renameSync(runtime, away)
    process.kill(killed.pid, 'SIGKILL')
    await attempts(3)
    renameSync(away, runtime)
    const back = await restarted(killed)
    renameSync(runtime, away)
    const before = supervisor.events.filter(({ event }) => event === 'ended').length
    process.kill(back.pid, 'SIGKILL')
    await attempts(before + 2)
    supervisor.child.kill('SIGINT')
    assert.equal(await supervisor.exited, 0)
  } finally {
    await supervisor.end()
    directory.remove()
  }
})

test('one node runs in the process of the command; Ctrl-C stops it; its data stays', async () => {
  const directory = temporaryDirectory()
  const data = join(directory.path, 'cluster')
  try {
    for (const round of [0, 1]) {
      const supervisor = new Supervisor(data, 1, await freePorts(3))
      try {
        const { nodes = [] } = await supervisor.event('ready')
        assert.deepEqual(
          nodes.map((node) => node.pid),
          [supervisor.child.pid],
        )
        await withClient(
          nodes.map((node) => node.client),
          async (client) => {
            assert.equal((await client.listStreams()).length, round)
            await client.createStream(`stream-${round}`)
          },
        )
        supervisor.child.kill('SIGINT')
        assert.equal(await supervisor.exited, 0)
        assert.equal(supervisor.events.at(-1)?.event, 'stopped')
      } finally {
        await supervisor.end()
      }
    }
    const other = new Supervisor(data, 3, await freePorts(9))
    assert.equal(await other.exited, 1)
    assert.match(other.errors, /holds a cluster of 1 node, not of 3/)
  } finally {
    directory.remove()
  }
})

test('a busy port ends the whole cluster with one sentence', async () => {
  const directory = temporaryDirectory()
  const [port] = (await freePorts(1)) as [number]
  const server = createServer()
  await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening))
  const busy = new Supervisor(join(directory.path, 'cluster'), 1, [port, 0, 0])
  try {
    assert.equal(await busy.exited, 1)
    assert.match(
      busy.errors,
      new RegExp(`cannot listen for clients on 127.0.0.1:${port}.*another process uses this port`),
    )
  } finally {
    await busy.end()
    await new Promise((closed) => server.close(closed))
    directory.remove()
  }
})

test('a node whose data is gone does not come back empty; a format that was interrupted is done again', async () => {
  const directory = temporaryDirectory()
  const data = join(directory.path, 'cluster')
  try {
    // As a kill during the first start leaves it, sooner or later.
    mkdirSync(data)
    writeFileSync(join(data, 'cluster.json.new'), '{')
    const stillborn = new Supervisor(data, 1, await freePorts(3))
    await stillborn.event('ready')
    stillborn.child.kill('SIGINT')
    assert.equal(await stillborn.exited, 0)
    rmSync(data, { recursive: true })
    mkdirSync(join(data, 'node-0'), { recursive: true })
    writeFileSync(join(data, 'node-0', 'journal'), 'half of it')
    const cluster = '00112233445566778899aabbccddeeff'
    writeFileSync(join(data, 'cluster.json'), JSON.stringify({ cluster, nodes: 1, formatted: false }))
    const first = new Supervisor(data, 1, await freePorts(3))
    await first.event('ready')
    first.child.kill('SIGINT')
    assert.equal(await first.exited, 0)

    rmSync(join(data, 'node-0', 'superblock'))
    const second = new Supervisor(data, 1, await freePorts(3))
    assert.equal(await second.exited, 1)
    assert.match(second.errors, /the data of node 0 is gone/)
    assert.ok(existsSync(join(data, 'node-0', 'journal')), 'what is left was not touched')
  } finally {
    directory.remove()
  }
})

test('a node whose directory is lost: a fresh one is refused, a replacement joins and holds everything', async () => {
  const directory = temporaryDirectory()
  const data = join(directory.path, 'cluster')
  const lost = join(data, 'node-1')
  const shape = { data: lost, replica: 1, replicas: 3, frameSizeMax: 64 * 1024, journalSlots: 128 }
  const statusOf = async (http: string): Promise<NodeStatus | undefined> => {
    try {
      const response = await fetch(`${http}/status`, { headers: { connection: 'close' } })
      return (await response.json()) as NodeStatus
    } catch {
      return undefined
    }
  }
  const supervisors: Supervisor[] = []
  const start = async (): Promise<Supervisor> => {
    const supervisor = new Supervisor(data, 3, await freePorts(9))
    supervisors.push(supervisor)
    return supervisor
  }
  try {
    const first = await start()
    const { nodes = [] } = await first.event('ready')
    const [{ http } = { http: '' }] = nodes
    const { cluster } = await until('a status', () => statusOf(http))
    await withClient(
      nodes.map((node) => node.client),
      async (client) => {
        for (let i = 0; i < 200; i++) await client.createStream(`stream-${i}`)
      },
    )
    first.child.kill('SIGINT')
    assert.equal(await first.exited, 0)
    rmSync(lost, { recursive: true })

    const refused = await start()
    assert.equal(await refused.exited, 1)
    assert.match(refused.errors, /the data of node 1 is gone.*galgo recover --data .*node-1 .*--journal-slots 128/)

    await formatNode({ ...shape, cluster })
    const fresh = await start()
    await until('the refusal', async () =>
      readFileSync(join(data, 'node-1.log'), 'utf8').includes("knows another data directory as replica 1's")
        ? true
        : undefined,
    )
    await fresh.end()
    rmSync(lost, { recursive: true })

    await formatNode({ ...shape, cluster, replacement: true })
    const third = await start()
    const { nodes: again = [] } = await third.event('ready')
    const joined = await until('the replacement', async () => {
      const [a, b] = await Promise.all([0, 1].map((i) => statusOf(again[i]?.http ?? '')))
      return b?.status === 'normal' && !b.replacement && b.commit === a?.commit ? b : undefined
    })
    assert.ok(joined.commit >= 200)
  } finally {
    for (const supervisor of supervisors) await supervisor.end()
    directory.remove()
  }
})
