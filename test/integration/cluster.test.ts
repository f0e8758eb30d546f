// What `galgo cluster` runs: a supervisor and its nodes, all real processes.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connect } from '../../src/index.ts'
import { COMPILED_ONCE, CREDENTIALS, temporaryDirectory, until } from './processes.ts'

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

  constructor(data: string, options: { readonly nodes?: number; readonly clientPort?: number } = {}) {
    this.child = spawn(process.execPath, [CLUSTER, JSON.stringify({ data, ...options })], {
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

test('three nodes: a killed one is started again; when the supervisor is killed its nodes end by themselves', async () => {
  const directory = temporaryDirectory()
  const data = join(directory.path, 'cluster')
  const supervisor = new Supervisor(data)
  try {
    const { nodes = [], primary } = await supervisor.event('ready')
    assert.equal(nodes.length, 3)
    await using client = await connect({ servers: nodes.map((node) => node.client), credentials: CREDENTIALS })
    await client.createStream('a')

    const killed = nodes.find((node) => node.node === primary)
    assert.ok(killed)
    process.kill(killed.pid, 'SIGKILL')
    await supervisor.event('ended', primary)
    const { node: successor } = await supervisor.event('primary')
    assert.notEqual(successor, primary)
    await client.createStream('b')
    const back = await until('the killed node', async () => {
      try {
        const response = await fetch(`${killed.http}/status`, { headers: { connection: 'close' } })
        const status = (await response.json()) as { pid: number; status: string }
        return status.status === 'normal' && status.pid !== killed.pid ? status : undefined
      } catch {
        return undefined
      }
    })

    const pids = [...nodes.filter((node) => node !== killed).map((node) => node.pid), back.pid]
    assert.ok(pids.every(isAlive))
    await supervisor.end()
    await until('the end of the nodes', async () => (pids.some(isAlive) ? undefined : true))
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
      const supervisor = new Supervisor(data, { nodes: 1 })
      try {
        const { nodes = [] } = await supervisor.event('ready')
        assert.deepEqual(
          nodes.map((node) => node.pid),
          [supervisor.child.pid],
        )
        {
          await using client = await connect({ servers: nodes.map((node) => node.client), credentials: CREDENTIALS })
          assert.equal((await client.listStreams()).length, round)
          await client.createStream(`stream-${round}`)
        }
        supervisor.child.kill('SIGINT')
        assert.equal(await supervisor.exited, 0)
        assert.equal(supervisor.events.at(-1)?.event, 'stopped')
      } finally {
        await supervisor.end()
      }
    }
    const other = new Supervisor(data, { nodes: 3 })
    assert.equal(await other.exited, 1)
    assert.match(other.errors, /holds a cluster of 1 node, not of 3/)
  } finally {
    directory.remove()
  }
})

test('a busy port ends the whole cluster with one sentence', async () => {
  const directory = temporaryDirectory()
  const server = createServer()
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })
  const busy = new Supervisor(join(directory.path, 'cluster'), { nodes: 1, clientPort: port })
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
    // As a kill during the first start leaves it.
    mkdirSync(join(data, 'node-0'), { recursive: true })
    writeFileSync(join(data, 'node-0', 'journal'), 'half of it')
    const cluster = '00112233445566778899aabbccddeeff'
    writeFileSync(join(data, 'cluster.json'), JSON.stringify({ cluster, nodes: 1, formatted: false }))
    const first = new Supervisor(data, { nodes: 1 })
    await first.event('ready')
    first.child.kill('SIGINT')
    assert.equal(await first.exited, 0)

    rmSync(join(data, 'node-0', 'superblock'))
    const second = new Supervisor(data, { nodes: 1 })
    assert.equal(await second.exited, 1)
    assert.match(second.errors, /the data of node 0 is gone/)
    assert.ok(existsSync(join(data, 'node-0', 'journal')), 'what is left was not touched')
  } finally {
    directory.remove()
  }
})
