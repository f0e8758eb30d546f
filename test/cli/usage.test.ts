import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CliError, explain, printFailure } from '../../src/cli/errors.ts'
import { connectionOf } from '../../src/cli/flags.ts'
import type { CliIo } from '../../src/cli/io.ts'
import { Status } from '../../src/protocol/errors.ts'
import { ServerError } from '../../src/server/errors.ts'
import { galgo } from './command-line.ts'

const COMMANDS = [
  'cluster',
  'format',
  'recover',
  'start',
  'status',
  'snapshot',
  'stream create',
  'stream list',
  'stream get',
  'stream delete',
  'topic create',
  'topic list',
  'topic get',
  'topic delete',
  'stream rename',
  'stream purge',
  'topic rename',
  'topic purge',
  'user create',
  'user list',
  'user get',
  'user update',
  'user password',
  'user permissions',
  'user delete',
  'token create',
  'token list',
  'token delete',
  'client list',
  'client get',
  'nodes',
  'ping',
  'stats',
  'me',
  'options',
  'topic update',
  'partition create',
  'partition delete',
  'segment delete',
  'offset delete',
  'group create',
  'group list',
  'group describe',
  'group seek',
  'group delete',
  'context create',
  'context list',
  'context use',
  'context show',
  'context delete',
  'produce',
  'consume',
  'offset get',
  'offset set',
  'bench produce',
  'bench consume',
  'bench latency',
  'sim',
  'explore',
  'chaos',
]

test('help lists every command and the exit codes', async () => {
  const { exitCode, out, err } = await galgo(['--help'])
  assert.equal(exitCode, 0)
  assert.equal(err, '')
  for (const command of COMMANDS) assert.match(out, new RegExp(`^  ${command.split(' ')[0]}\\b`, 'm'))
  assert.match(out, /Exit codes:/)
})

for (const command of COMMANDS) {
  test(`${command} --help has an example and its output formats`, async () => {
    const { exitCode, out, err } = await galgo([...command.split(' '), '--help'])
    assert.equal(exitCode, 0)
    assert.equal(err, '')
    assert.match(out, new RegExp(`Usage: galgo ${command}`))
    assert.match(out, /Examples?[^\n]*:\n {2}\S/)
    assert.match(out, /--format/)
  })
}

test('the version is the one of the package', async () => {
  const { exitCode, out } = await galgo(['--version'])
  assert.equal(exitCode, 0)
  assert.match(out, /^\d+\.\d+\.\d+\n$/)
})

const WRONG: readonly (readonly [argv: string, says: RegExp])[] = [
  ['', /Usage: galgo/],
  ['topic', /Usage: galgo topic/],
  ['consum a b', /unknown command 'consum'\n\(Did you mean consume\?\)\nSee: galgo --help/],
  ['stream crate x', /unknown command 'crate'[^]*Did you mean create\?[^]*See: galgo stream --help/],
  ['consume shop', /missing required argument 'topic'\nSee: galgo consume --help/],
  ['stream list extra', /too many arguments/],
  ['consume a b --form first', /unknown option '--form'/],
  ['consume a b --count none', /'--count <n>' argument 'none' is invalid\. It must be a whole number/],
  ['consume a b --from middle', /It must be first, last, next, offset:N or time:ISO/],
  ['consume a b --from next', /--from next .* --consumer NAME/],
  ['consume a b --format yaml', /It must be text or json/],
  ['produce a b --partition 1 --key k', /'--key <key>' cannot be used with option '--partition <n>'/],
  ['topic create a b --partitions 1001', /whole number from 1 to 1000/],
  ['topic create a b --partitions 0', /whole number from 1 to 1000/],
  ['offset get a b', /required option '--consumer <name>' not specified/],
  ['offset set a b minus --consumer c', /'minus' is invalid/],
  ['format --data x --cluster y', /required option '--replica <i>' not specified/],
  ['format --data x --cluster y --replica 0 --replicas 2', /It must be 1, 3 or 5/],
  ['cluster --nodes 4', /It must be 1, 3 or 5/],
  ['bench produce --size 0', /It must be a size/],
  ['bench produce --use nowhere', /It must look like STREAM\/TOPIC/],
  ['bench latency --duration soon', /It must be a time/],
  ['stream list --servers localhost', /It must be HOST:PORT/],
  ['sim --seed x', /whole number/],
]

for (const [argv, says] of WRONG) {
  test(`wrong usage: galgo ${argv}`, async () => {
    const { exitCode, out, err } = await galgo(argv === '' ? [] : argv.split(' '))
    assert.equal(exitCode, 2)
    assert.equal(out, '')
    assert.match(err, says)
    assert.doesNotMatch(err, /\n +at /)
  })
}

test('flags win over the environment, the environment over the defaults', () => {
  const io = {
    environment: { GALGO_SERVERS: 'a:1,b:2', GALGO_USERNAME: 'ann', GALGO_PASSWORD: 'x' },
  } as unknown as CliIo
  const flags = { format: 'text', timeout: 1 } as const
  assert.deepEqual(connectionOf(flags, io), {
    servers: ['a:1', 'b:2'],
    credentials: { username: 'ann', password: 'x' },
    tls: false,
    timeoutMs: 1,
    consistency: 'primary',
  })
  assert.equal(connectionOf({ ...flags, tls: true }, io).tls, true)
  assert.deepEqual(connectionOf({ ...flags, servers: ['c:3'], username: 'bob' }, io).servers, ['c:3'])
  const bob = { username: 'bob', password: 'x' }
  assert.deepEqual(connectionOf({ ...flags, username: 'bob' }, io).credentials, bob)
  const withToken = { environment: { ...io.environment, GALGO_TOKEN: 't' } } as unknown as CliIo
  assert.deepEqual(connectionOf(flags, withToken).credentials, { token: 't' })
  assert.deepEqual(connectionOf({ ...flags, username: 'bob' }, withToken).credentials, bob)
  assert.deepEqual(connectionOf({ ...flags, username: 'bob', token: 'u' }, io).credentials, { token: 'u' })
  assert.deepEqual(connectionOf(flags, { environment: {} } as unknown as CliIo).credentials, {
    username: 'iggy',
    password: 'iggy',
  })
})

test('each kind of failure has its exit code', () => {
  const sdk = (code: string, status?: number): Error =>
    Object.assign(new Error('no'), { name: 'GalgoError', code, status })
  assert.equal(explain(sdk('stream-not-found', Status.streamIdNotFound)).exitCode, 3)
  assert.equal(explain(sdk('x', Status.partitionNotFound)).exitCode, 3)
  assert.equal(explain(sdk('x', Status.streamNameAlreadyExists)).exitCode, 6)
  assert.equal(explain(sdk('x', Status.invalidCredentials)).exitCode, 5)
  assert.equal(explain(sdk('x', Status.topicFull)).exitCode, 1)
  assert.equal(explain(new ServerError('port-in-use', 'busy')).exitCode, 1)
  assert.equal(explain(new CliError('c', 'm', 3)).exitCode, 3)
  assert.equal(explain('text').message, 'text')
})

test('only a defect shows where it happened', () => {
  assert.equal(explain(new ServerError('disk-full', 'the disk is full')).stack, undefined)
  assert.equal(explain(Object.assign(new Error('EACCES'), { syscall: 'open', code: 'EACCES' })).stack, undefined)
  assert.ok(explain(new TypeError('x is not a function')).stack !== undefined)
})

test('a failure is a sentence, or JSON where JSON was asked for', () => {
  const said: string[] = []
  const failure = explain(new CliError('topic-not-found', 'there is no topic x', 3))
  printFailure(failure, false, (text) => said.push(text))
  printFailure(failure, true, (text) => said.push(text))
  assert.deepEqual(said, [
    'galgo: there is no topic x\n',
    '{"error":{"code":"topic-not-found","message":"there is no topic x","exitCode":3}}\n',
  ])
})

test('nobody there: said soon, then with what to do, and its own exit code', async () => {
  const args = ['stream', 'list', '--servers', '127.0.0.1:1', '--timeout', '2100ms']
  const { exitCode, err } = await galgo(args)
  assert.equal(exitCode, 4)
  assert.match(
    err,
    /^no answer from 127\.0\.0\.1:1 yet; trying for 2\.1 s \(--timeout\)\. `galgo cluster` starts a cluster/,
  )
  assert.match(err, /galgo: no server of 127\.0\.0\.1:1 let this client in [^]* Check the addresses/)
  // Where JSON was asked for, standard error is JSON.
  const json = await galgo([...args, '--format', 'json'])
  assert.equal((JSON.parse(json.err) as { error: { code: string } }).error.code, 'no-connection')
})
