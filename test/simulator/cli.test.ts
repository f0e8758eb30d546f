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
  assert.match(out, /seed {8}1, \d replicas, durability (disk|memory), hash [0-9a-f]{8}/)
  assert.match(out, /outcome {5}held/)
})

test('one seed as JSON, twice the same', async () => {
  const first = await sim('--seed', '7', '--steady', '--format', 'json')
  const second = await sim('--seed', '7', '--steady', '--format', 'json')
  assert.equal(first.out, second.out)
  assert.equal((JSON.parse(first.out) as { outcome: string }).outcome, 'held')
})

test('several seeds', async () => {
  const { code, out } = await sim('--seeds', '3', '--from', '188', '--replicas', '3', '--steady')
  assert.equal(code, 0)
  assert.match(out, /^seeds 188\.\.190: 0 failures/)
})

test('several at a time: the same results as one after the other', async () => {
  const seeds = ['--seeds', '4', '--from', '188', '--steady', '--format', 'json']
  const alone = await sim(...seeds, '--jobs', '1')
  const together = await sim(...seeds, '--jobs', '2')
  const count = ({ out }: { out: string }): object => {
    const { from, seeds, failures, events, faults, simulatedMicros } = JSON.parse(out) as Record<string, unknown>
    return { from, seeds, failures, events, faults, simulatedMicros }
  }
  assert.deepEqual(count(together), count(alone))
})

test('without a number of seeds it runs until it is stopped', async () => {
  const stop = new AbortController()
  const running = simUntil(stop.signal, '--from', '188', '--jobs', '2', '--steady', '--format', 'json')
  setImmediate(() => stop.abort())
  const { code, out } = await running
  assert.equal(code, 0)
  assert.ok((JSON.parse(out) as { seeds: number }).seeds <= 2)
})

test('only the faults that are asked for', async () => {
  const { out } = await sim('--seeds', '4', '--from', '188', '--steady', '--faults', 'pause,clock', '--format', 'json')
  const { faults } = JSON.parse(out) as { faults: Record<string, number> }
  for (const [fault, count] of Object.entries(faults))
    assert.equal(count > 0, fault === 'pause' || fault === 'clock', `${count} ${fault}`)
  assert.equal((await sim('--faults', 'earthquake')).code, 2)
})

test('a fault that shares its schedule with another one happens without it too', async () => {
  const small = ['--steady', '--clients', '1', '--requests', '20', '--readers', '0', '--operations', 'usual']
  const count = async (seed: string, list: string): Promise<Record<string, number>> => {
    const { out } = await sim('--seed', seed, '--replicas', '3', ...small, '--faults', list, '--format', 'json')
    return (JSON.parse(out) as { faults: Record<string, number> }).faults
  }
  for (const [seed, alone, other] of [
    ['4', 'power', 'crash'],
    ['4', 'one-way', 'partition'],
  ] as const) {
    const { [alone]: wanted = 0, ...others } = await count(seed, alone)
    assert.ok(wanted > 0, `no ${alone}`)
    assert.ok(Object.values(others).every((n) => n === 0))
    const { [alone]: none, [other]: usual = 0 } = await count(seed, other)
    assert.ok(usual > 0 && none === 0, `${usual} ${other}, ${none} ${alone}`)
  }
})

test('an event per line: frames, disks, ticks, faults and what replicas log', async () => {
  const { out } = await sim('--seed', '42', '--steady', '--log')
  for (const line of [
    /^ +\d+ \d+\.\d{6} replica 0 info opened/m,
    / \d > \d {2}prepare \d+$/m,
    / \d > \d {2}commit \d+: lost$/m,
    / \d > \d {2}\S.*: doubled$/m,
    / client 0 > \d {2}request \d+, arrives in \d+ µs$/m,
    / disk \d sync journal$/m,
    / disk \d write journal \d+\+\d+$/m,
    / tick \d normal view \d+ commit \d+\/\d+, \d+ frames sent$/m,
    / fault \d+ [a-z-]+: replica \d/m,
  ])
    assert.match(out, line)
})

test('the lines of some events only, with their numbers; the run is the same', async () => {
  const seed = ['--seed', '42', '--steady']
  const all = await sim(...seed, '--log')
  const some = await sim(...seed, '--events', '3000..3030')
  const lines = all.out.split('\n').filter((line) => {
    const number = Number(/^ *(\d+) \d+\.\d{6} /.exec(line)?.[1] ?? -1)
    return number >= 3000 && number <= 3030
  })
  assert.ok(lines.length > 10)
  assert.ok(some.out.startsWith(`${lines.join('\n')}\nseed `))
  assert.ok(some.out.endsWith((await sim(...seed)).out))
  const json = (await sim(...seed, '--events', '3000..3030', '--format', 'json')).out.trim().split('\n')
  const first = JSON.parse(json[0] as string) as { event: number; atMicros: number; text: string }
  assert.equal(json.length, lines.length + 1)
  assert.ok(first.event >= 3000 && first.atMicros > 0 && first.text !== '')
})

test('--duration: clients work all of it, in simulated seconds', async () => {
  const run = async (seconds: string): Promise<{ simulatedMicros: number; acknowledged: number }> =>
    JSON.parse((await sim('--seed', '1', '--duration', seconds, '--format', 'json')).out)
  const [short, long] = [await run('2'), await run('12')]
  assert.ok(short.simulatedMicros > 2e6 && long.simulatedMicros > 12e6)
  assert.ok(long.acknowledged > 2 * short.acknowledged, `${short.acknowledged} and ${long.acknowledged} requests`)
})

test('--only: those faults of the seed and no others', async () => {
  const count = async (...argv: string[]): Promise<number> => {
    const { out } = await sim('--seed', '2', '--steady', '--format', 'json', ...argv)
    const { faults } = JSON.parse(out) as { faults: Record<string, number> }
    return Object.values(faults).reduce((sum, n) => sum + n, 0)
  }
  assert.ok((await count()) > 5)
  assert.equal(await count('--only', 'none'), 0)
  assert.equal(await count('--only', '2,5,loss'), 2)
  assert.match((await sim('--seed', '2', '--steady', '--only', '2,loss')).out, /, [1-9]\d* lost, 0 duplicated/)
})

test('--explain tells a run by time, and does not change it', async () => {
  const { code, out } = await sim('--explain', '5', '--steady')
  assert.equal(code, 0)
  assert.match(out, /^Seed 5: \d replicas, \d+\.\d s, \d+ requests answered\.$/m)
  assert.match(out, /^ +0\.\d{3} s {2}Fault 1, [a-z-]+: \S.*\.$/m)
  assert.match(out, /^ +\d+\.\d{3} s {2}Replicas \d(, \d)+ vote for view \d+: they send their logs to replica \d\.$/m)
  assert.match(out, /^ +\d+\.\d{3} s {2}Replica \d is primary of view \d+; /m)
  assert.match(out, /Requests are answered again, after \d/)
  assert.match(out, /All replicas hold the same log/)
  const told = JSON.parse((await sim('--seed', '5', '--steady', '--explain', '--format', 'json')).out) as Record<
    string,
    unknown
  >
  const plain = JSON.parse((await sim('--seed', '5', '--steady', '--format', 'json')).out) as Record<string, unknown>
  assert.equal(told['hash'], plain['hash'])
  assert.ok((told['primaries'] as unknown[]).length > 0)
  const times = (told['told'] as { atMicros: number }[]).map(({ atMicros }) => atMicros)
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  )
})

test('--shrink has nothing to do for a seed that holds', async () => {
  const { code, out } = await sim('--shrink', '1')
  assert.equal(code, 0)
  assert.match(out, /seed 1 holds/)
})

test('a live line fits the terminal', async () => {
  let err = ''
  const io = { out: () => {}, stop: new AbortController().signal, isTerminal: true, columns: 40 }
  await runSimulatorCommand(['--seeds', '4', '--from', '188', '--jobs', '2', '--steady'], {
    ...io,
    err: (text) => {
      err += text
    },
  })
  const lines = err.split('\r\x1b[K').filter((line) => line !== '')
  assert.ok(lines.length > 0, 'no line in all that time')
  for (const line of lines) {
    assert.ok(line.length < 40, line)
    assert.match(line, /^\d+ seeds, 0 failures, /)
  }
})

test('wrong flags are usage errors', async () => {
  const wrong: [string, RegExp][] = [
    ['--seed x', /whole number from 0/],
    ['--replicas 2', /1, 3 or 5/],
    ['--format xml', /text or json/],
    ['--nonsense', /unknown option '--nonsense'/],
    ['extra', /too many arguments/],
    ['--duration 0', /whole number from 1 to 3600/],
    ['--seed 1 --events 9..3', /the smaller first/],
    ['--events 1..2', /add --seed/],
    ['--log', /add --seed/],
    ['--only 3', /add --seed/],
    ['--seed 1 --only 3,x', /"x" is no number of a fault/],
    ['--shrink', /--shrink needs a seed/],
    ['--explain 1 --shrink 1', /do not go together/],
    ['--seed 1 --explain 2', /two seeds/],
    ['--seed 1 --seeds 4', /--seeds is for many seeds/],
    ['--from 281474976710655 --seeds 2', /seeds end at 281474976710655/],
    ['--seed 1 --durability memory --members 2', /there are no groups/],
  ]
  for (const [flags, message] of wrong) {
    const { code, err } = await sim(...flags.split(' '))
    assert.equal(code, 2, flags)
    assert.match(err, message, flags)
  }
  assert.equal((await sim('--help')).code, 0)
})
