// `npm start`, `npm test`, `npm run check`: setup, then a cluster or every check. Plain JavaScript for Node 20.
//
//   npm start [-- flags of `galgo cluster`]
//   npm test [-- part of a test file's name …]
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, dirname, join, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { buildPackage } from './build-package.mjs'
import { become, binaries, compileCache, root, runtime } from './runtime.mjs'
import { setup } from './setup.mjs'

/** What never ends is ended; a quiet machine with two cores needs two thirds of it. */
const GUARD_MS = 14 * 60_000
/** So many test files of those that wait, and as many of those that compute, at a time. */
const AT_A_TIME = Math.max(1, Math.min(2, availableParallelism()))
/** Rooms of many files that take little time each: a room is one process, which starts, loads and warms up once. */
const TOGETHER = [
  'test/cli',
  'test/client',
  'test/consensus',
  'test/protocol',
  'test/server',
  'test/simulator/checkers',
  'test/simulator/fault-matrix',
  'test/simulator/scenarios',
  'test/state',
  'test/storage',
]
/** The longest files and rooms begin first, so that none of them is left alone in the end. */
const LONGEST = [
  'test/mutants/mutants.test.ts',
  'test/chaos/chaos.test.ts',
  'test/simulator/scenarios',
  'test/simulator/seeds.test.ts',
  'test/simulator/explore.test.ts',
  'test/simulator/cli.test.ts',
  'test/integration/failover.test.ts',
  'test/server',
  'test/cli',
  'test/regressions/seeds.test.ts',
  'test/simulator/fault-matrix',
  'test/simulator/operations.test.ts',
  'test/package/package.test.ts',
  'test/simulator/determinism.test.ts',
]
/** They start processes, and wait for them. */
const WAITS = /^(native|test\/(chaos|cli|integration|package|rest|server|web))/
/** Tests of what is published. */
const USES_PACKAGE = /test.(package.package|web.sdk-in-browser)\.test\.ts$/
const CLOSING = /^ℹ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/
const LAYERS = ['bin', 'chaos', 'consensus', 'native', 'scripts', 'simulator', 'src', 'storage', 'test'].filter(
  (room) => existsSync(join(root, room)),
)

const CHECKS = [
  { name: 'types', tool: 'tsc', args: ['--noEmit'] },
  { name: 'pages', tool: 'tsc', args: ['--noEmit', '--project', join('src', 'web')] },
  { name: 'format', tool: 'biome', args: ['check', '--colors=off', '.'] },
  { name: 'lint', tool: 'oxlint', args: ['--type-aware', '--deny-warnings'] },
  {
    name: 'layers',
    tool: 'depcruise',
    args: ['--config', '.dependency-cruiser.cjs', ...LAYERS],
    // A parser that cannot read TypeScript finds no modules, no violations, and succeeds.
    verify: (output) =>
      Number(/(\d+) modules, \d+ dependencies cruised/.exec(output)?.[1] ?? 0) > 0 ? undefined : 'no modules were read',
  },
]

const children = new Set()
const env = {
  ...process.env,
  PATH: `${binaries}${delimiter}${process.env.PATH ?? ''}`,
  NO_COLOR: process.env.NO_COLOR ?? '1',
  NODE_COMPILE_CACHE: compileCache,
}
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`

async function main() {
  const [command = 'test', ...rest] = process.argv.slice(2)
  setup()
  if (command === 'start') {
    become(runtime(), [join(root, 'src', 'cli', 'main.ts'), 'cluster', ...rest], { cwd: root })
    return
  }
  stopWithUs()
  const started = Date.now()
  const results = await checks()
  if (command === 'test') results.push(await tests(rest, results, started))
  else summary(results, started)
  process.exitCode = results.every((result) => result.ok) ? 0 : 1
}

/** The checks, as many at a time as there are cores. */
async function checks() {
  const waiting = [...CHECKS]
  const results = []
  const lane = async () => {
    for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) results.push(await runCheck(check))
  }
  await Promise.all(Array.from({ length: Math.max(1, Math.min(2, availableParallelism())) }, lane))
  return results
}

async function runCheck({ name, tool, args, verify }) {
  const started = Date.now()
  let output = ''
  const code = await run(join(binaries, tool), args, (chunk) => {
    output += chunk
  })
  const fault = code === 0 ? verify?.(output) : `${tool} ended with ${code}`
  const ok = fault === undefined
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name.padEnd(7)} ${seconds(Date.now() - started)}${ok ? '' : `: ${fault}`}`)
  if (!ok) console.log(indent(output))
  return { name, ok }
}

/** The tests stream as they run; node:test's closing lines are held back, so that they end the output. */
async function tests(filters, results, started) {
  const files = testFiles().filter((file) => filters.length === 0 || filters.some((part) => file.includes(part)))
  if (files.length === 0) {
    summary([...results, { name: 'tests', ok: false }], started)
    console.log(`no test file${filters.length === 0 ? '' : ` has ${filters.join(' or ')} in its name`}`)
    return { name: 'tests', ok: false }
  }
  // These build it too when they run alone, but not at the same time.
  if (files.some((file) => USES_PACKAGE.test(file))) buildPackage()
  console.log(`     tests   ${files.length} files`)
  const closing = new Map()
  const ok = await runTests(files, closing)
  const result = { name: 'tests', ok }
  summary([...results, result], started)
  for (const [name, count] of closing) console.log(`ℹ ${name} ${count}`)
  return result
}

async function runTests(files, closing) {
  let partial = ''
  // Of those that wait and of those that compute, each.
  const show = (line) => {
    const [, name, count] = CLOSING.exec(line) ?? []
    if (name === undefined) console.log(line)
    else closing.set(name, name === 'duration_ms' ? Number(count) : (closing.get(name) ?? 0) + Number(count))
  }
  const program = join(root, 'scripts', 'run-tests.mjs')
  const code = await run(runtime(), [program, String(AT_A_TIME), ...inOrder(together(files))], (chunk) => {
    const lines = (partial + chunk).split('\n')
    partial = lines.pop() ?? ''
    lines.forEach(show)
  })
  if (partial !== '') show(partial)
  return code === 0
}

/** What runs, each in a process of its own: files as they are, and for those of a room that go together one that loads them. */
function together(files) {
  const folder = join(root, 'build', 'tests')
  mkdirSync(folder, { recursive: true })
  const roomOf = (file) => TOGETHER.find((room) => room === pathOf(dirname(file)))
  const alone = files.filter((file) => roomOf(file) === undefined).map((file) => ({ name: pathOf(file), file }))
  const rooms = TOGETHER.flatMap((room) => {
    const imports = files
      .filter((file) => roomOf(file) === room)
      .map((file) => `import ${JSON.stringify(pathToFileURL(join(root, file)).href)}\n`)
    if (imports.length === 0) return []
    const file = join(folder, `${room.split('/').join('-')}.test.mjs`)
    writeFileSync(file, imports.join(''))
    return [{ name: room, file: relative(root, file) }]
  })
  return [...alone, ...rooms]
}

function testFiles() {
  const gone = [...LONGEST, ...TOGETHER].filter((path) => !existsSync(join(root, path)))
  if (gone.length > 0) throw new Error(`${gone.join(', ')}: no such test; see LONGEST and TOGETHER in scripts/run.mjs`)
  return ['test', join('native', 'test')]
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true })
        .filter((file) => file.endsWith('.test.ts') && !file.split(sep).includes('node_modules'))
        .map((file) => relative(root, join(root, folder, file))),
    )
    .toSorted()
}

/** The longest first; those that wait beside those that compute, so that neither leaves a core idle. */
function inOrder(programs) {
  const longest = LONGEST.flatMap((path) => programs.filter(({ name }) => name === path))
  const all = [...longest, ...programs.filter((program) => !longest.includes(program))]
  const [waiting, computing] = [all.filter(waits), all.filter((program) => !waits(program))]
  return [...waiting.map(({ file }) => file), '--', ...computing.map(({ file }) => file)]
}

function waits({ name }) {
  return WAITS.test(name)
}

function pathOf(file) {
  return file.split(sep).join('/')
}

function summary(results, started) {
  const failed = results.filter((result) => !result.ok).map((result) => result.name)
  const outcome = failed.length === 0 ? `all ${results.length} checks passed` : `FAILED: ${failed.join(', ')}`
  console.log(`\n${outcome} in ${seconds(Date.now() - started)}`)
}

function run(program, args, onOutput) {
  return new Promise((resolve) => {
    // A process group of its own: what it starts ends with it.
    const child = spawn(program, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    children.add(child)
    child.stdout.setEncoding('utf8').on('data', onOutput)
    child.stderr.setEncoding('utf8').on('data', onOutput)
    child.on('error', (error) => onOutput(`cannot run ${program}: ${error.message}\n`))
    child.on('close', (code, signal) => {
      children.delete(child)
      resolve(code ?? signal ?? 127)
    })
  })
}

function stopWithUs() {
  const stop = (signal, code) => {
    for (const child of children) process.kill(-child.pid, signal)
    process.exit(code)
  }
  process.on('SIGINT', () => stop('SIGINT', 130))
  process.on('SIGTERM', () => stop('SIGTERM', 143))
  setTimeout(() => {
    console.error(`galgo: stopped after ${seconds(GUARD_MS)}: a check does not end`)
    stop('SIGKILL', 1)
  }, GUARD_MS).unref()
}

function indent(text) {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `     ${line}`)
    .join('\n')
}

main().catch((error) => {
  console.error(`galgo: ${error.message}`)
  process.exitCode = 1
})
