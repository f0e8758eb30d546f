// The log of a node: how much it says of one thing, at most.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type NodeLog, openLog } from '../../src/server/log.ts'
import { LINES_MAX, type LogTimers, PERIOD_MS } from '../../src/server/log-limit.ts'
import { LogRing } from '../../src/server/log-ring.ts'
import { temporaryDirectory } from '../integration/processes.ts'
import { startNode } from '../integration/transport-node.ts'

/** Time that passes when it is told to. */
class FakeTimers implements LogTimers {
  #now = 1000
  readonly #due = new Map<object, { readonly at: number; readonly action: () => void }>()

  now(): number {
    return this.#now
  }

  after(ms: number, action: () => void): () => void {
    const key = {}
    this.#due.set(key, { at: this.#now + ms, action })
    return () => void this.#due.delete(key)
  }

  pass(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const [next] = [...this.#due].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at)
      if (next === undefined) break
      this.#due.delete(next[0])
      this.#now = next[1].at
      next[1].action()
    }
    this.#now = end
  }
}

interface Line {
  readonly level: string
  readonly code: string
  readonly thread?: string
  readonly i?: number
  readonly of?: string
  readonly lines?: number
  readonly withinMs?: number
}

function linesOf(file: string): Line[] {
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Line)
}

interface Opened {
  readonly log: NodeLog
  readonly timers: FakeTimers
  /** What was written since this was last asked for. */
  readonly news: () => Line[]
}

function opened(t: TestContext, level: 'info' | 'warn' = 'info'): Opened {
  const { path, remove } = temporaryDirectory()
  t.after(remove)
  const timers = new FakeTimers()
  const file = join(path, 'log')
  const log = openLog({ level, file }, {}, new LogRing(), timers)
  let seen = 0
  const news = (): Line[] => {
    const lines = linesOf(file).slice(seen)
    seen += lines.length
    return lines
  }
  return { log, timers, news }
}

function flood(log: NodeLog, lines: number): void {
  for (let i = 0; i < lines; i++) log.warn('client-slow', { i })
}

test('of one code so many lines are written in a period, then how many more there were', (t) => {
  const { log, timers, news } = opened(t)
  flood(log, LINES_MAX + 7)
  assert.deepEqual(
    news().map(({ i }) => i),
    Array.from({ length: LINES_MAX }, (_, i) => i),
  )
  timers.pass(PERIOD_MS - 1)
  flood(log, 3)
  assert.deepEqual(news(), [])
  timers.pass(1)
  const [told, ...others] = news()
  assert.deepEqual(others, [])
  assert.deepEqual(
    { level: told?.level, code: told?.code, of: told?.of, lines: told?.lines, withinMs: told?.withinMs },
    { level: 'warn', code: 'log-suppressed', of: 'client-slow', lines: 10, withinMs: PERIOD_MS },
  )
  // It begins anew, and what was told is not told again.
  flood(log, 2)
  timers.pass(10 * PERIOD_MS)
  assert.deepEqual(
    news().map(({ code }) => code),
    ['client-slow', 'client-slow'],
  )
})

test('one code takes nothing from another, whatever its level', (t) => {
  const { log, timers, news } = opened(t)
  flood(log, 1000)
  timers.pass(PERIOD_MS / 2)
  for (let i = 0; i <= LINES_MAX; i++) log.error('disk-error')
  log.info('view', { view: 3 })
  assert.equal(news().filter(({ code }) => code !== 'client-slow').length, LINES_MAX + 1)
  const suppressed = (): unknown[] => news().map(({ level, of, lines }) => [level, of, lines])
  timers.pass(PERIOD_MS / 2)
  assert.deepEqual(suppressed(), [['warn', 'client-slow', 1000 - LINES_MAX]])
  timers.pass(PERIOD_MS / 2)
  assert.deepEqual(suppressed(), [['error', 'disk-error', 1]])
})

test('a steady trickle below the limit is written whole', (t) => {
  const { log, timers, news } = opened(t)
  for (let i = 0; i < 10 * LINES_MAX; i++) {
    log.warn('client-slow', { i })
    timers.pass(PERIOD_MS / LINES_MAX)
  }
  assert.equal(news().filter(({ code }) => code === 'client-slow').length, 10 * LINES_MAX)
})

test('what the level leaves out is not told to be suppressed; what is, is told at the end too', (t) => {
  const { log, timers, news } = opened(t, 'warn')
  for (let i = 0; i < 1000; i++) log.info('peer-connected')
  timers.pass(PERIOD_MS)
  assert.deepEqual(news(), [])
  flood(log, LINES_MAX + 1)
  log.close()
  assert.deepEqual([news().at(-1)?.of, news()], ['client-slow', []])
})

test('a client that breaks the protocol again and again gets a bounded number of lines from a node', async (t) => {
  const { path, remove } = temporaryDirectory()
  t.after(remove)
  const file = join(path, 'node.log')
  const node = await startNode(path, { logLevel: 'info', logFile: file })
  const tries = LINES_MAX + 20
  try {
    for (let i = 0; i < tries; i++) {
      const socket = connectSocket(node.clientPort, '127.0.0.1')
      socket.on('error', () => {})
      socket.resume()
      socket.write(Buffer.alloc(512, 0xff))
      await new Promise<void>((closed) => socket.once('close', () => closed()))
    }
  } finally {
    await node.stop()
  }
  const lines = linesOf(file).filter(({ thread }) => thread === 'replica')
  assert.equal(lines.filter(({ code }) => code === 'client-frame-size').length, LINES_MAX)
  const told = lines.filter(({ code }) => code === 'log-suppressed')
  assert.deepEqual(
    told.map(({ of, lines: more }) => [of, more]),
    [['client-frame-size', tries - LINES_MAX]],
  )
})
