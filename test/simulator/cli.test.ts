import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runSimulatorCommand } from '../../simulator/cli.ts'

async function sim(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  return await simUntil(new AbortController().signal, ...argv)
}

async function simUntil(stop: AbortSignal, ...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = ''
  let err = ''
  const code = await runSimulatorCommand(argv, {
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
    stop,
    isTerminal: false,
  })
  return { code, out, err }
}

test('one seed prints a summary', async () => {
  const { code, out } = await sim('--seed', '1')
  assert.equal(code, 0)
  assert.match(out, /seed {8}1, \d replicas, hash [0-9a-f]{8}/)
  assert.match(out, /outcome {5}held/)
})

test('one seed as JSON, twice the same', async () => {
  const first = await sim('--seed', '7', '--format', 'json')
  const second = await sim('--seed', '7', '--format', 'json')
  assert.equal(first.out, second.out)
  assert.equal((JSON.parse(first.out) as { outcome: string }).outcome, 'held')
})

test('several seeds', async () => {
  const { code, out } = await sim('--seeds', '3', '--from', '10', '--replicas', '3')
  assert.equal(code, 0)
  assert.match(out, /^seeds 10\.\.12: 0 failures/)
})

test('several at a time: the same results as one after the other', async () => {
  const alone = await sim('--seeds', '6', '--from', '20', '--jobs', '1', '--format', 'json')
  const together = await sim('--seeds', '6', '--from', '20', '--jobs', '3', '--format', 'json')
  const count = ({ out }: { out: string }): object => {
    const { from, seeds, failures, events, faults, simulatedMicros } = JSON.parse(out) as Record<string, unknown>
    return { from, seeds, failures, events, faults, simulatedMicros }
  }
  assert.deepEqual(count(together), count(alone))
})

test('without a number of seeds it runs until it is stopped', async () => {
  const stop = new AbortController()
  const running = simUntil(stop.signal, '--from', '1', '--jobs', '2', '--format', 'json')
  setImmediate(() => stop.abort())
  const { code, out } = await running
  assert.equal(code, 0)
  assert.ok((JSON.parse(out) as { seeds: number }).seeds <= 2)
})

test('only the faults that are asked for', async () => {
  const { out } = await sim('--seeds', '8', '--from', '1', '--faults', 'pause,clock', '--format', 'json')
  const { faults } = JSON.parse(out) as { faults: Record<string, number> }
  for (const [fault, count] of Object.entries(faults))
    assert.equal(count > 0, fault === 'pause' || fault === 'clock', `${count} ${fault}`)
  assert.equal((await sim('--faults', 'earthquake')).code, 2)
})

test('a log line for everything that replicas log', async () => {
  const { out } = await sim('--seed', '1', '--log')
  assert.match(out, /replica 0 info opened/)
})

test('wrong flags are usage errors', async () => {
  for (const argv of [['--seed', 'x'], ['--replicas', '2'], ['--format', 'xml'], ['--nonsense']]) {
    const { code, err } = await sim(...argv)
    assert.equal(code, 2, argv.join(' '))
    assert.notEqual(err, '')
  }
  assert.equal((await sim('--help')).code, 0)
})
