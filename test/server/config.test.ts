import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ConfigFlags, type Environment, loadConfig, nearestKey, parseCpus } from '../../src/server/config.ts'
import { ServerError } from '../../src/server/errors.ts'
import { temporaryDirectory } from '../integration/processes.ts'

const MINIMAL = { data: 'd', addresses: '10.0.0.1:8190' }

function refusal(flags: ConfigFlags, environment: Environment = {}): string {
  try {
    loadConfig(flags, environment)
  } catch (error) {
    assert.ok(error instanceof ServerError, String(error))
    assert.equal(error.code, 'bad-config')
    return error.message
  }
  return assert.fail('it was accepted')
}

function withFile<T>(toml: string, run: (path: string) => T): T {
  const directory = temporaryDirectory()
  try {
    const path = join(directory.path, 'node.toml')
    writeFileSync(path, toml)
    return run(path)
  } finally {
    directory.remove()
  }
}

test('the defaults need only a directory and the addresses', () => {
  const config = loadConfig(MINIMAL, {})
  assert.deepEqual(config.client, { host: '127.0.0.1', port: 8090 })
  assert.deepEqual(config.advertise, config.client)
  assert.deepEqual(config.root, { username: 'iggy', password: 'iggy' })
  assert.deepEqual(config.cpus, [])
  assert.equal(config.limits.connections, 1024)
  assert.equal(config.limits.connectionsPerAddress, 768)
  assert.deepEqual([config.limits.httpConnections, config.limits.httpConnectionsPerAddress], [256, 64])
  const fewer = loadConfig(MINIMAL, { GALGO_LIMITS_HTTP_CONNECTIONS: '10' }).limits
  assert.equal(fewer.httpConnectionsPerAddress, 3, 'a quarter')
})

test('a flag wins over a variable, a variable over the file, the file over the default', () => {
  withFile('client = "1.1.1.1:1"\nadvertise = "1.1.1.1:2"\nhttp = "off"\n[limits]\nconnections = 7\n', (path) => {
    const config = loadConfig(
      { ...MINIMAL, config: path, client: '3.3.3.3:3' },
      { GALGO_CLIENT: '2.2.2.2:2', GALGO_ADVERTISE: '2.2.2.2:3', GALGO_LIMITS_CONNECTIONS: '8' },
    )
    assert.equal(config.client?.host, '3.3.3.3')
    assert.equal(config.advertise.host, '2.2.2.2')
    assert.equal(config.http, null)
    assert.equal(config.limits.connections, 8)
  })
  const { root } = loadConfig(MINIMAL, { GALGO_ROOT_USERNAME: 'admin', GALGO_ROOT_PASSWORD: 'secret' })
  assert.deepEqual(root, { username: 'admin', password: 'secret' })
})

test('addresses: names, IPv4 and IPv6; lists in flags and variables', () => {
  const { addresses } = loadConfig({ data: 'd' }, { GALGO_ADDRESSES: 'a.example:1, [::1]:2,10.0.0.3:3' })
  assert.deepEqual(addresses, [
    { host: 'a.example', port: 1 },
    { host: '::1', port: 2 },
    { host: '10.0.0.3', port: 3 },
  ])
})

test('what is missing or impossible is said in one sentence', () => {
  assert.match(refusal({ addresses: 'a:1' }), /no data directory is given; name it with --data/)
  assert.match(refusal({ data: 'd' }), /no replica addresses are given/)
  assert.match(refusal({ data: 'd', addresses: 'a:1,b:1' }), /1, 3 or 5 replicas, but 2 addresses/)
  assert.match(refusal({ data: 'd', addresses: 'a:1,b:1,a:1' }), /a:1 is given twice/)
  const three = { data: 'd', addresses: 'a:1,b:1,c:1' }
  assert.match(refusal({ ...three, client: 'a:1' }), /a:1 is given twice, of a replica and for clients \(--client\)/)
  assert.match(refusal({ ...three, client: 'a:2', http: 'a:2' }), /twice, for clients \(--client\) and for HTTP/)
  assert.match(refusal({ data: 'd', addresses: 'nonsense' }), /replica address 0 must look like HOST:PORT/)
  assert.match(refusal({ ...MINIMAL, client: 'x:99999' }), /--client/)
  assert.match(refusal({ ...MINIMAL, driver: 'epoll' }), /"driver" is "epoll"/)
  assert.match(refusal({ ...MINIMAL, cpu: 'all' }), /"cpu" must be "auto" or CPU numbers/)
  assert.match(refusal(MINIMAL, { GALGO_LIMITS_CONNECTIONS: 'many' }), /limits\.connections/)
  assert.match(refusal(MINIMAL, { GALGO_LIMITS_CONNECTIONS: '0' }), /limits\.connections/)
})

test('what is wrong with a password is said without the password', () => {
  const long = 'x'.repeat(101)
  const said = refusal(MINIMAL, { GALGO_ROOT_PASSWORD: long })
  assert.match(said, /"root\.password"/)
  assert.ok(!said.includes(long))
  for (const toml of ['[root]\npassword = 12345678', 'root = "12345678"'])
    withFile(toml, (config) => assert.doesNotMatch(refusal({ ...MINIMAL, config }), /12345678/))
})

test('an unknown key names its nearest neighbour; broken TOML its line', () => {
  withFile('data = "d"\nadresses = ["a:1"]\n', (path) =>
    assert.match(refusal({ config: path }), /unknown key "adresses"; did you mean "addresses"\?/),
  )
  withFile('[limits]\nconections = 3\n', (path) =>
    assert.match(
      refusal({ ...MINIMAL, config: path }),
      /unknown key "limits\.conections"; did you mean "limits\.connections"/,
    ),
  )
  withFile('data = \n', (path) => assert.match(refusal({ config: path }), /line 1, column \d+: not TOML/))
  assert.match(refusal({ config: '/nowhere/x.toml' }), /cannot read .*there is no such file/)
  assert.equal(nearestKey('completely-different-thing'), null)
})

test('CPU lists', () => {
  assert.deepEqual(parseCpus('auto'), [])
  assert.deepEqual(parseCpus('3,0-1'), [0, 1, 3])
  for (const text of ['', '3-1', 'a', '1,,2', '5000']) assert.throws(() => parseCpus(text), ServerError)
})

test('TLS and WebSocket: what is said comes to something, or is an error', () => {
  const files = { tlsCertificate: 'c.pem', tlsKey: 'k.pem' }
  const config = loadConfig(
    { ...MINIMAL, client: 'off', tls: '10.0.0.1:8091', ...files, websocket: '10.0.0.1:8092', websocketTls: true },
    { GALGO_TLS_ADVERTISE_PORT: '9091', GALGO_WEBSOCKET_ORIGINS: 'https://a.test, https://b.test' },
  )
  assert.equal(config.client, null)
  assert.deepEqual(config.tls, { address: { host: '10.0.0.1', port: 8091 }, advertisePort: 9091 })
  assert.deepEqual(config.websocket?.origins, ['https://a.test', 'https://b.test'])
  assert.equal(config.websocket?.tls, true)
  assert.deepEqual(config.certificate, { certificate: 'c.pem', key: 'k.pem' })
  assert.equal(config.advertise.host, '10.0.0.1')
  assert.equal(
    loadConfig({ ...MINIMAL, tls: ':1', tlsCertificate: 'self-signed' }, {}).certificate,
    'self-signed',
    'only when asked for by name',
  )
  assert.match(refusal({ ...MINIMAL, client: 'off' }), /no client could connect/)
  assert.match(refusal({ ...MINIMAL, tls: ':1' }), /TLS needs a certificate/)
  assert.match(refusal({ ...MINIMAL, websocket: ':1', websocketTls: true }), /TLS needs a certificate/)
  assert.match(refusal({ ...MINIMAL, ...files }), /nothing listens with it/)
  assert.match(refusal({ ...MINIMAL, tls: ':1', tlsCertificate: 'c.pem' }), /without its private key/)
  assert.match(refusal({ ...MINIMAL, tls: ':1', tlsKey: 'k.pem' }), /without its certificate/)
  assert.match(refusal({ ...MINIMAL, tls: ':1', ...files, tlsCertificate: 'self-signed' }), /brings its own key/)
  assert.match(refusal({ ...MINIMAL, websocketTls: true, ...files }), /add "websocket\.address"/)
  assert.match(refusal(MINIMAL, { GALGO_TLS_ADVERTISE_PORT: '1' }), /add "tls\.address"/)
  assert.match(refusal(MINIMAL, { GALGO_WEBSOCKET_TLS: 'perhaps', GALGO_WEBSOCKET_ADDRESS: ':1' }), /websocket\.tls/)
})
