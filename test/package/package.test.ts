// What `npm pack` makes, as somebody meets it who has nothing of the checkout: installed into an empty project with the
// machine's own Node.js, types, README's example, the command, and a node that runs from it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../chaos/ports.ts'
import { temporaryDirectory, until } from '../integration/processes.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const PACKAGE = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<
  'dependencies' | 'devDependencies',
  Record<string, string>
>
/** Without what `npm` puts before it: the pinned Node.js is no part of the package. */
const PATH = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((entry) => !entry.includes('node_modules'))
  .join(delimiter)
const environment = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|GALGO_|NODE_)/i.test(name))),
  PATH,
}

/** The oldest Node.js at hand: the machine's, which ran `npm`, or the one that runs the tests. */
const OWN_NODE =
  PATH.split(delimiter)
    .map((entry) => join(entry, 'node'))
    .find((file) => existsSync(file)) ?? process.execPath

interface Ran {
  readonly out: string
  readonly err: string
  readonly code: number | null
}

async function run(program: string, args: readonly string[], cwd: string, more: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const child = spawn(program, args, { cwd, env: { ...environment, ...more }, stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err] = [child.stdout, child.stderr].map((stream) => {
    let text = ''
    stream.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
    })
    return () => text
  }) as [() => string, () => string]
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { out: out(), err: err(), code }
}

async function succeed(
  program: string,
  args: readonly string[],
  cwd: string,
  more?: NodeJS.ProcessEnv,
): Promise<string> {
  const { out, err, code } = await run(program, args, cwd, more)
  assert.equal(code, 0, `${program} ${args.join(' ')}:\n${out}${err}`)
  return out
}

const directory = temporaryDirectory()
const project = join(directory.path, 'project')
const installed = join(project, 'node_modules')
const galgoOf = join(installed, 'galgo')
const BIN = join(galgoOf, 'bin', 'galgo.js')

before(
  async () => {
    const [{ filename }] = JSON.parse(
      await succeed('npm', ['pack', '--json', '--pack-destination', directory.path], ROOT),
    ) as [{ filename: string }]
    mkdirSync(project)
    writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n')
    // Without scripts: nothing may have to be built. Everything but Galgo comes from npm's cache when it is there.
    const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']
    await succeed('npm', ['install', ...flags, join(directory.path, filename)], project)
  },
  { timeout: 120_000 },
)

after(() => directory.remove())

test('the package has what is used and nothing else', () => {
  const files = readdirSync(galgoOf, { recursive: true, encoding: 'utf8' })
  const sources = files.filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.d.ts'))
  assert.deepEqual(sources, [], 'Node.js runs no TypeScript below node_modules')
  assert.deepEqual(readdirSync(galgoOf).toSorted(), [
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'bin',
    'build',
    'docs',
    'package.json',
    'scripts',
  ])
  const { scripts } = JSON.parse(readFileSync(join(galgoOf, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  for (const step of ['preinstall', 'install', 'postinstall']) assert.equal(scripts[step], undefined)
  // Nothing that is installed along with it is built on the way either.
  for (const name of readdirSync(installed, { recursive: true, encoding: 'utf8' })) {
    if (!/(^|\/)package\.json$/.test(name)) continue
    const { scripts: steps = {} } = JSON.parse(readFileSync(join(installed, name), 'utf8')) as {
      scripts?: Record<string, string>
    }
    const found = ['preinstall', 'install', 'postinstall'].filter((step) => steps[step] !== undefined)
    assert.deepEqual(found, [], `${name} does something when it is installed`)
    assert.ok(!existsSync(join(installed, name, '..', 'binding.gyp')), `${name} wants a compiler`)
  }
  const others = readdirSync(installed)
  for (const name of Object.keys(PACKAGE.dependencies))
    assert.ok(existsSync(join(installed, name)), `${name} is missing`)
  for (const name of Object.keys(PACKAGE.devDependencies)) {
    assert.ok(!others.includes(name) && !existsSync(join(installed, name)), `${name} is for development only`)
  }
})

/** Compiles `code` as the program of this project; what the compiler says. */
async function compile(name: string, code: string, flags: readonly string[]): Promise<string> {
  writeFileSync(join(project, name), code)
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  const always = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022']
  const { out } = await run(tsc, [...always, ...flags, name], project)
  return out
}

const TYPED = `
import { type Client, connect, GalgoError, type PolledMessage, type Stored } from 'galgo'

export async function first(servers: string[]): Promise<bigint> {
  const client: Client = await connect({ servers, credentials: { token: 'a token' } })
  const stored: Stored = await client.sendBatch({ stream: 's', topic: 0, partition: 'balanced' }, [{ payload: 'x' }])
  // @ts-expect-error An offset is a number.
  const wrong: string = stored.offset
  // @ts-expect-error Credentials are needed.
  await connect({ servers })
  for await (const message of client.consumer({ stream: 's', topic: 't' })) {
    const polled: PolledMessage = message
    return polled.id
  }
  throw new GalgoError('closed', wrong)
}
`

test('a program is checked against its declarations, in Node.js and for a browser', async () => {
  const node = ['--module', 'nodenext', '--lib', 'es2022', '--types', 'node']
  const types = ['--typeRoots', join(ROOT, 'node_modules', '@types')]
  assert.equal(await compile('typed.ts', TYPED, [...node, ...types]), '')
  const bundler = ['--module', 'esnext', '--moduleResolution', 'bundler', '--customConditions', 'browser']
  assert.equal(await compile('typed.ts', TYPED, [...bundler, '--lib', 'es2022,dom', '--types', '']), '')
})

/** The command of the package. */
const galgo = (node: string, args: readonly string[], servers = ''): Promise<Ran> =>
  run(node, [BIN, ...args], project, { GALGO_SERVERS: servers })

test('a node, the README’s example and the command run from it', { timeout: 60_000 }, async (t) => {
  const [clientPort, replicaPort, httpPort] = (await freePorts(3)) as [number, number, number]
  const server = `127.0.0.1:${clientPort}`
  const data = join(directory.path, 'data')
  const place = ['--data', data, '--cluster', 'test', '--replica', '0', '--replicas', '1']
  const formatted = await galgo(process.execPath, [
    'format',
    ...place,
    '--frame-max',
    '64KiB',
    '--journal-slots',
    '128',
  ])
  assert.equal(formatted.code, 0, formatted.err)
  const addresses = ['--addresses', `127.0.0.1:${replicaPort}`, '--client', server, '--http', `127.0.0.1:${httpPort}`]
  const node = spawn(process.execPath, [BIN, 'start', '--data', data, ...addresses], {
    cwd: project,
    env: environment,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  node.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  const ended = new Promise<number | null>((resolve) => node.once('close', resolve))
  try {
    await until('the node answers', async () => {
      if (node.exitCode !== null) throw new Error(`the node ended:\n${log}`)
      return (await fetch(`http://127.0.0.1:${httpPort}/status`).catch(() => null))?.ok === true ? true : undefined
    })

    await t.test('the page of the simulator is in the package', async () => {
      const page = await fetch(`http://127.0.0.1:${httpPort}/simulator/`)
      assert.equal(page.status, 200)
    })

    await t.test('the example, on the machine’s Node.js, and the client needs no other package', async () => {
      const alone = join(directory.path, 'alone')
      cpSync(galgoOf, join(alone, 'node_modules', 'galgo'), { recursive: true })
      const readme = readFileSync(join(galgoOf, 'README.md'), 'utf8')
      const code = /```ts\n([^]*?)```/.exec(readme.slice(readme.indexOf('## From a program')))?.[1]
      assert.ok(code)
      assert.ok(code.includes("servers: ['127.0.0.1:8090', '127.0.0.1:8091', '127.0.0.1:8092']"))
      writeFileSync(join(alone, 'example.mjs'), code.replace(/servers: \[.*\]/, `servers: ['${server}']`))
      const example = (): Promise<string> => succeed(OWN_NODE, ['example.mjs'], alone)
      assert.equal(
        await example(),
        'partition 0, offset 0\npartition 0, offset 1\npartition 0, offset 2\n0 {"item":"apples"}\n1 {"item":"pears"}\n2 {"item":"plums"}\n',
      )
      // A second run goes on where the first one stopped.
      assert.match(await example(), /^partition 0, offset 3\n[^]*\n5 \{"item":"plums"\}\n$/)
    })

    await t.test('the command, on the machine’s Node.js', async () => {
      const link = realpathSync(join(installed, '.bin', 'galgo'))
      assert.equal(link, realpathSync(BIN))
      const list = await galgo(OWN_NODE, ['stream', 'list', '--format', 'json'], server)
      assert.equal(list.code, 0, list.err)
      assert.equal((JSON.parse(list.out) as [{ name: string }])[0].name, 'shop')
      const consumed = await galgo(OWN_NODE, ['consume', 'shop', 'orders', '--count', '1'], server)
      assert.equal(consumed.out, '{"item":"apples"}\n', consumed.err)
    })
  } finally {
    node.kill('SIGTERM')
    assert.equal(await ended, 0, log)
    rmSync(data, { recursive: true })
  }
})
