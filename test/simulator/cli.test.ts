import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runSimulatorCommand } from '../../simulator/cli.ts'

async function sim(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = ''
  let err = ''
  const code = await runSimulatorCommand(argv, {
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
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
