// Named clusters: where they are kept, who may read them, and what wins over what.
import assert from 'node:assert/strict'
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type ConnectionFlags, connectionOf } from '../../src/cli/flags.ts'
import type { CliIo } from '../../src/cli/io.ts'
import { temporaryDirectory } from '../integration/processes.ts'
import { galgo, type Ran } from './command-line.ts'

/** A user with a folder of configurations. */
function user(t: TestContext, variables: Readonly<Record<string, string>> = {}) {
  const { path, remove } = temporaryDirectory()
  t.after(remove)
  const environment = { XDG_CONFIG_HOME: path, ...variables }
  return {
    file: join(path, 'galgo', 'contexts.json'),
    folder: join(path, 'galgo'),
    run: (line: string, input = '', more: Readonly<Record<string, string>> = {}): Promise<Ran> =>
      galgo(line.split(' '), { input, environment: { ...environment, ...more } }),
    good: async (line: string, input = ''): Promise<string> => {
      const { exitCode, out, err } = await galgo(line.split(' '), { input, environment })
      assert.equal(exitCode, 0, `${line}: ${err}`)
      return out
    },
    connection: (flags: Partial<ConnectionFlags> = {}, more: Readonly<Record<string, string>> = {}) => {
      const io = { environment: { ...environment, ...more } } as unknown as CliIo
      const { servers, credentials, tls } = connectionOf({ format: 'text', timeout: 1, ...flags }, io)
      return { servers, credentials, tls }
    },
  }
}

test('create, list, use, show, delete', async (t) => {
  const { run, good, file, folder } = user(t)
  assert.match((await run('context list')).err, /no contexts yet; create one with/)
  assert.equal(await good('context list --format json'), '[]\n')
  assert.match(
    await good('context create prod --servers a:1,b:2 --username ops'),
    /created; use it with: galgo context use prod/,
  )
  assert.match(await good('context create local --servers c:3 --use'), /created; in use/)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.equal(statSync(folder).mode & 0o777, 0o700)
  assert.deepEqual(readdirSync(folder), ['contexts.json'])
  const again = await run('context create prod --servers x:1')
  assert.equal(again.exitCode, 6)
  assert.match(again.err, /there is a context prod already; see it with: galgo context show prod, or give --replace/)
  assert.deepEqual(JSON.parse(await good('context show prod --format json')), {
    name: 'prod',
    current: false,
    servers: ['a:1', 'b:2'],
    tls: false,
    tlsCa: null,
    username: 'ops',
    stored: null,
  })
  assert.match(await good('context show'), /^context +local \(in use\)\n/)
  assert.equal(await good('context use prod'), 'context prod is in use\n')
  assert.match(await good('context list'), /^\* +prod +a:1,b:2 +no +ops +-$/m)
  assert.equal(await good('context delete prod'), 'context prod deleted\n')
  assert.equal((await run('context show')).exitCode, 3)
  for (const line of ['context show prod', 'context use prod', 'context delete prod', 'stream list --context prod']) {
    const { exitCode, err } = await run(line)
    assert.equal(exitCode, 3, line)
    assert.match(err, /there is no context prod; see them with: galgo context list/)
  }
  await good('context create again --servers a:1 --use')
  await good('context use --none')
  assert.equal((await run('context show')).exitCode, 3)
  for (const line of ['context use', 'context use again --none', 'context create a/b', 'context create __proto__'])
    assert.equal((await run(line)).exitCode, 2, line)
})

test('a secret is kept only when that was asked for, and never shown', async (t) => {
  const { run, good, file } = user(t)
  for (const flag of ['--password hunter22', '--token hunter22']) {
    const { exitCode, err } = await run(`context create prod ${flag}`)
    assert.equal(exitCode, 2)
    assert.match(err, /kept only with --store-secret/)
  }
  await run('context create prod', '', { GALGO_PASSWORD: 'hunter22' })
  assert.doesNotMatch(readFileSync(file, 'utf8'), /hunter22/)
  await good('context create prod --replace --username ops --store-secret', 'hunter22\r\n')
  assert.match(readFileSync(file, 'utf8'), /"password": "hunter22"/)
  for (const line of ['context show prod', 'context show prod --format json', 'context list'])
    assert.doesNotMatch(await good(line), /hunter22/, line)
  assert.match(await good('context show prod'), /stored +password/)
  await run('context create ci --store-secret', '', { GALGO_TOKEN: 'token-33' })
  assert.match(readFileSync(file, 'utf8'), /"token": "token-33"/)
  assert.equal((await run('context create other --store-secret')).exitCode, 2)
  // What others can read is no secret.
  chmodSync(file, 0o644)
  const exposed = await run('stream list --context prod')
  assert.equal(exposed.exitCode, 1)
  assert.match(exposed.err, /others can read it; run: chmod 600 /)
  chmodSync(file, 0o600)
  await good('context delete prod')
  assert.doesNotMatch(readFileSync(file, 'utf8'), /hunter22/)
})

test('flags win over --context, that over variables, these over the context in use', async (t) => {
  const { good, connection } = user(t)
  await good('context create prod --servers p:1 --username ops --tls --store-secret', 'p-word')
  await good('context create ci --servers c:1 --token tok --store-secret --use')
  const iggy = { username: 'iggy', password: 'iggy' }
  const ops = { username: 'ops', password: 'p-word' }
  assert.deepEqual(connection(), { servers: ['c:1'], credentials: { token: 'tok' }, tls: false })
  assert.deepEqual(connection({}, { GALGO_CONTEXT: 'prod' }), { servers: ['p:1'], credentials: ops, tls: true })
  assert.deepEqual(connection({ context: 'prod' }), { servers: ['p:1'], credentials: ops, tls: true })
  // Other servers are another cluster's: nothing of the context in use is sent there.
  assert.deepEqual(connection({ servers: ['x:1'] }), { servers: ['x:1'], credentials: iggy, tls: false })
  assert.deepEqual(connection({}, { GALGO_SERVERS: 'v:1' }), { servers: ['v:1'], credentials: iggy, tls: false })
  // Unless the context is named.
  assert.deepEqual(connection({ context: 'prod', servers: ['x:1'] }).credentials, ops)
  const variables = { GALGO_SERVERS: 'v:1', GALGO_USERNAME: 'var', GALGO_PASSWORD: 'v-word' }
  assert.deepEqual(connection({ context: 'prod' }, variables), { servers: ['p:1'], credentials: ops, tls: true })
  assert.deepEqual(connection({ context: 'prod', password: 'typed' }).credentials, { ...ops, password: 'typed' })
  // A stored password is of the user that it was stored with.
  assert.deepEqual(connection({ context: 'prod', username: 'bob' }).credentials, { username: 'bob', password: 'iggy' })
  assert.deepEqual(connection({ username: 'bob' }).credentials, { username: 'bob', password: 'iggy' })
  assert.deepEqual(connection({}, { GALGO_USERNAME: 'var', GALGO_PASSWORD: 'v-word' }).credentials, {
    username: 'var',
    password: 'v-word',
  })
})

test('a file that is none is said to be, with what to do', async (t) => {
  const { good, run, file } = user(t)
  await good('context create prod')
  const cases: [text: string, message: RegExp][] = [
    ['{', /is not a file of contexts: .*; correct it, or remove it/],
    ['[]', /it has no "contexts"/],
    ['{"contexts":{"a":{"servers":"x:1"}}}', /"servers" of a is no list/],
    ['{"contexts":{"a":{"password":7}}}', /"password" of a is no text/],
    ['{"contexts":{"a":{"tls":"yes"}}}', /"tls" of a is not true or false/],
    ['{"contexts":{"a b":{}}}', /"a b" is no context/],
    ['{"current":7,"contexts":{}}', /"current" is no name/],
  ]
  for (const [text, message] of cases) {
    writeFileSync(file, text)
    const { exitCode, err } = await run('context list')
    assert.equal(exitCode, 1, text)
    assert.match(err, message)
  }
  const homeless = await galgo(['context', 'create', 'x'], {})
  assert.equal(homeless.exitCode, 1)
  assert.match(homeless.err, /set HOME or XDG_CONFIG_HOME/)
  // Without a home there are simply none.
  assert.equal((await galgo(['context', 'list', '--format', 'json'], {})).out, '[]\n')
})

test('a context that is created while another one waits for its password is kept', async (t) => {
  const { file, good } = user(t)
  await good('context list')
  const environment = { XDG_CONFIG_HOME: join(file, '..', '..') }
  const input = (async function* () {
    await good('context create local --servers c:3 --use')
    yield 'secret\n'
  })()
  const { exitCode } = await galgo(['context', 'create', 'prod', '--servers', 'a:1', '--store-secret'], {
    input,
    environment,
  })
  assert.equal(exitCode, 0)
  const { current, contexts } = JSON.parse(readFileSync(file, 'utf8'))
  assert.deepEqual([current, Object.keys(contexts)], ['local', ['local', 'prod']])
})
