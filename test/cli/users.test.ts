// Users and tokens against a real node: by the command line and the SDK; and that no secret of theirs can be found anywhere.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { connect, GalgoError } from '../../src/index.ts'
import { TestCluster } from '../integration/processes.ts'
import { galgo, type Ran, type Surroundings } from './command-line.ts'

const FIRST = 'correct horse battery'
const SECOND = 'staple that nobody knows'

suite('users and tokens', () => {
  let cluster: TestCluster
  let token = ''
  const run = (line: string, around: Surroundings = {}): Promise<Ran> =>
    galgo(line.split(' '), {
      ...around,
      environment: { GALGO_SERVERS: cluster.servers.join(','), ...around.environment },
    })
  const good = async (line: string, around?: Surroundings): Promise<string> => {
    const { exitCode, out, err } = await run(line, around)
    assert.equal(exitCode, 0, `${line}: ${err}`)
    return out
  }
  const as = (username: string, password: string): Surroundings => ({
    environment: { GALGO_USERNAME: username, GALGO_PASSWORD: password },
  })

  before(async () => {
    cluster = await TestCluster.make(1, { frameSizeMax: 64 * 1024 })
    cluster.start()
    await cluster.primary()
    await good('stream create shop')
    await good('topic create shop orders')
    await good('topic create shop secret')
  })
  after(() => cluster.remove())

  test('a user does what it was allowed, and nothing else', async () => {
    const made = await good('user create alice --allow poll-messages@shop/orders --allow send-messages@shop/orders', {
      input: `${FIRST}\n`,
    })
    assert.equal(made, 'user alice created, id 1\n')
    assert.equal((await run('user create alice', { input: FIRST })).exitCode, 6)
    const alice = as('alice', FIRST)
    await good('produce shop orders', { ...alice, input: 'one' })
    assert.equal((await run('produce shop secret', { ...alice, input: 'one' })).exitCode, 5)
    assert.equal((await run('stream list', alice)).exitCode, 5)
    assert.equal((await run('user list', alice)).exitCode, 5)
    assert.match(await good('user get alice', alice), /rights +poll-messages@0\/0 send-messages@0\/0\n/)
    assert.equal(await good('user permissions alice --allow read-streams'), 'rights of alice: read-streams\n')
    await good('stream list', alice)
    assert.equal((await run('produce shop orders', { ...alice, input: 'two' })).exitCode, 5)
    const names = JSON.parse(await good('user list --format json')) as { name: string }[]
    assert.deepEqual(
      names.map(({ name }) => name),
      ['iggy', 'alice'],
    )
    assert.equal((await run('user get nobody')).exitCode, 3)
    assert.equal((await run('user create bob --allow fly', { input: FIRST })).exitCode, 2)
    assert.equal((await run('user create bob --allow read-topics@nowhere', { input: FIRST })).exitCode, 3)
    assert.equal((await run('user create bob')).exitCode, 2, 'without a password')
  })

  test('passwords: changed by the owner with the old one, by root without', async () => {
    await good('user password', { ...as('alice', FIRST), input: SECOND })
    assert.equal((await run('stream list', as('alice', FIRST))).exitCode, 5)
    await good('stream list', as('alice', SECOND))
    await good('user password alice', { environment: { GALGO_NEW_PASSWORD: FIRST } })
    await good('stream list', as('alice', FIRST))
  })

  test('tokens: made, used, listed, deleted', async () => {
    token = (await good('token create build --lifetime 12h', as('alice', FIRST))).trim()
    await good('stream list', { environment: { GALGO_TOKEN: token } })
    await good(`stream list --token ${token}`)
    assert.match(await good('token list', as('alice', FIRST)), /^NAME +EXPIRES\nbuild +20\d\d-/)
    const client = await connect({ servers: cluster.servers, credentials: { token } })
    assert.equal((await client.me()).userId, 1)
    await good('token delete build', as('alice', FIRST))
    await assert.rejects(client.listStreams(), (error) => {
      assert.ok(error instanceof GalgoError)
      return error.code === 'invalid-credentials'
    })
    await client.close()
    assert.equal((await run('stream list', { environment: { GALGO_TOKEN: token } })).exitCode, 5)
    assert.equal(await good('token list', as('alice', FIRST)), '')
  })

  test('a user who is switched off is out at the next request, and told so', async () => {
    const credentials = { username: 'alice', password: FIRST }
    const client = await connect({ servers: cluster.servers, credentials })
    await client.listStreams()
    const seen = JSON.parse(await good('client list --format json')) as { user: number | null }[]
    assert.deepEqual(
      seen.map(({ user }) => user).toSorted((a, b) => Number(a) - Number(b)),
      [0, 1],
    )
    await good('user update alice --status inactive')
    await assert.rejects(client.listStreams(), /deleted or is not active/)
    await client.close()
    await assert.rejects(connect({ servers: cluster.servers, credentials }), /deleted or is not active/)
    await good('user update alice --status active --name eve')
    await good('stream list', as('eve', FIRST))
    assert.equal((await run('user update eve')).exitCode, 2)
    await good('user delete eve')
    assert.equal((await run('stream list', as('eve', FIRST))).exitCode, 5)
  })

  test('streams and topics get other names, and are emptied', async () => {
    await good('topic rename shop secret plain')
    await good('stream rename shop store')
    await good('topic get store plain')
    assert.equal(await good('consume store orders'), 'one\n')
    await good('topic purge store orders')
    assert.equal(await good('consume store orders'), '')
    await good('produce store orders', { input: 'again' })
    assert.equal(await good('consume store orders --from offset:0'), 'again\n')
    await good('stream purge store')
    assert.equal(await good('consume store orders'), '')
    assert.equal((await run('stream rename store store2 --token wrong')).exitCode, 5)
  })

  test('no password and no token is in a file of the node or in its log', async () => {
    const [node] = cluster.nodes
    assert.ok(node !== undefined)
    const files = readdirSync(node.data, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    const contents = files.map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'))
    assert.ok(contents.length > 3 && token.length > 40)
    for (const secret of [FIRST, SECOND, token]) {
      assert.ok(!contents.some((text) => text.includes(secret)))
      assert.ok(!node.output.includes(secret))
    }
    assert.ok(
      contents.some((text) => text.includes('$argon2id$')),
      'the log of ops is in one of these files',
    )
    assert.match(node.output, /login-refused/)
  })
})
