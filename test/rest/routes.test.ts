// The REST API against a node of its own: every route, what it answers, who may ask, and what becomes of nonsense.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { unzipSync } from 'fflate'
import { Status } from '../../src/protocol/errors.ts'
import type { GalgoNode } from '../../src/server/node.ts'
import { temporaryDirectory } from '../integration/processes.ts'
import { FRAME_SIZE_MAX, startNode } from '../integration/transport-node.ts'
import { b64, RestClient, toPartition } from './rest-client.ts'

const ALL_ONES = '18446744073709551615'

/** The status that is answered to bytes which are no whole request. */
async function firstLine(port: number, bytes: string): Promise<number> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(bytes)
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return Number(/^HTTP\/1\.1 (\d+)/.exec(chunk.toString())?.[1])
}

suite('the REST API', () => {
  const directory = temporaryDirectory()
  let node: GalgoNode
  let root: RestClient
  const logFile = join(directory.path, 'log')
  const logged: string[] = []
  const log = (code: string, fields?: Readonly<Record<string, unknown>>): void => {
    logged.push(JSON.stringify([code, fields]))
  }
  const guest = (): RestClient => new RestClient(root.at)

  before(async () => {
    const flags = { http: '127.0.0.1:0', logLevel: 'trace', logFile }
    node = await startNode(directory.path, flags, {}, { debug: log, info: log, warn: log, error: log })
    root = await new RestClient(`127.0.0.1:${node.httpPort}`).logIn()
  })
  after(async () => {
    await node.stop()
    directory.remove()
  })

  test('a login is answered with a token, until when it is good, and whose it is; a wrong one with why', async () => {
    const { status, text } = await guest().ask('GET', '/ping')
    assert.deepEqual([status, text], [200, 'pong'])
    const before = Date.now() / 1000
    const login = await guest().must('POST', '/users/login', { username: 'iggy', password: 'iggy', version: '1' }, 200)
    assert.equal(login.user_id, 0)
    assert.ok(Math.abs(login.access_token.expiry - before - 3600) < 60)
    const wrong = { username: 'iggy', password: 'nope' }
    await guest().refused('POST', '/users/login', wrong, 400, Status.invalidCredentials)
    await guest().refused('POST', '/users/login', { ...wrong, username: '' }, 400, Status.invalidCredentials)
    const long = { username: 'iggy', password: 'é'.repeat(200) }
    await guest().refused('POST', '/users/login', long, 400, Status.invalidCredentials)
    await guest().refused('GET', '/streams', undefined, 401, Status.accessTokenMissing)
  })

  test('streams: made, listed, found by number and by name, renamed, purged, gone', async () => {
    const made = await root.must('POST', '/streams', { name: 'väl/kommen ?#%' }, 200)
    assert.deepEqual(Object.keys(made), [
      'id',
      'created_at',
      'name',
      'size',
      'messages_count',
      'topics_count',
      'options',
      'topics',
    ])
    assert.deepEqual([made.name, made.size, made.topics_count, made.topics], ['väl/kommen ?#%', '0 B', 0, []])
    const path = `/streams/${encodeURIComponent('väl/kommen ?#%')}`
    assert.deepEqual(await root.get(path), made)
    assert.deepEqual(await root.get(`/streams/${made.id}?consistency=linearizable`), made)
    assert.deepEqual(await root.get(`/streams/${made.id}?consistency=serializable`), made)
    const list: { id: number }[] = await root.get('/streams')
    assert.ok(list.some(({ id }) => id === made.id))
    await root.refused('POST', '/streams', { name: made.name }, 400, Status.streamNameAlreadyExists)
    await root.must('PUT', path, { name: 'other' }, 204)
    await root.get(path, 404)
    await root.must('DELETE', '/streams/other/purge', undefined, 204)
    await root.must('DELETE', '/streams/other', undefined, 204)
    await root.refused('DELETE', '/streams/other', undefined, 404, Status.streamIdNotFound)
    assert.equal((await root.refused('GET', '/streams/other', undefined, 404, 404)).code, 'not_found')
  })

  test('topics, their options, partitions and segments', async () => {
    await root.must('POST', '/streams', { name: 'shop' }, 200)
    const body = {
      name: 'orders',
      partitions_count: 2,
      compression_algorithm: 'gzip',
      message_expiry: 3_600_000_000,
      max_topic_size: 0,
      options: { segment_size: '2MiB' },
    }
    const made = await root.must('POST', '/streams/shop/topics', body, 200)
    assert.deepEqual([made.name, made.compression_algorithm, made.message_expiry], ['orders', 'gzip', 3_600_000_000])
    assert.deepEqual(made.options.segment_size, { value: '2097152', explicit: true })
    assert.deepEqual(made.options.max_topic_size, { value: ALL_ONES, explicit: false })
    assert.deepEqual(Object.keys(made.partitions[1]), [
      'id',
      'created_at',
      'segments_count',
      'current_offset',
      'size',
      'messages_count',
    ])
    const topic = '/streams/shop/topics/orders'
    assert.deepEqual(await root.get(topic), made)
    const { text } = await root.ask('GET', '/streams/shop/topics')
    assert.ok(text.includes(`"max_topic_size":${ALL_ONES},`), 'all ones, exactly')
    await root.must('PUT', topic, { name: 'orders', message_expiry: 0 }, 204)
    assert.ok((await root.ask('GET', topic)).text.includes(`"message_expiry":${ALL_ONES},`), 'the default again')
    const fixed = { name: 'orders', options: { segment_size: '4MiB' } }
    await root.refused('PUT', topic, fixed, 400, Status.unsupportedOptionKey)
    const unknown = { ...body, name: 'x', options: { colour: 'red' } }
    await root.refused('POST', '/streams/shop/topics', unknown, 400, Status.unsupportedOptionKey)
    await root.must('POST', `${topic}/partitions`, { partitions_count: 2 }, 200)
    await root.must('DELETE', `${topic}/partitions?partitions_count=1`, undefined, 204)
    assert.equal((await root.get(topic)).partitions_count, 3)
    await root.must('DELETE', `${topic}/partitions/0?segments_count=1`, undefined, 204)
    await root.refused('DELETE', `${topic}/partitions/9?segments_count=1`, undefined, 404, Status.partitionNotFound)
    await root.must('DELETE', `${topic}/purge`, undefined, 204)
    await root.get('/streams/shop/topics/none', 404)
    await root.get('/streams/none/topics', 404)
    await root.refused('POST', '/streams/none/topics', body, 404, Status.streamIdNotFound)
  })

  test('messages go where they are told, with ids and headers, and are polled by every strategy', async () => {
    const topic = '/streams/shop/topics/messages'
    await root.must('POST', '/streams/shop/topics', { name: 'messages', partitions_count: 3 }, 200)
    const headers = [
      { key: { kind: 'string', value: b64('k') }, value: { kind: 'uint64', value: b64('12345678') } },
      { key: { kind: 'raw', value: b64('r') }, value: { kind: 'float32', value: b64('1234') } },
    ]
    const messages = [
      { id: 7, payload: b64('one'), user_headers: headers },
      { id: '340282366920938463463374607431768211455', payload: b64('two') },
      { id: '00000000-0000-0000-0000-0000000000ff', payload: b64('three'), user_headers: null },
      { id: 0, payload: b64('four'), user_headers: b64('not headers') },
      { payload: b64('five') },
    ]
    const sent = await root.ask('POST', `${topic}/messages`, { partitioning: toPartition(1), messages })
    assert.equal(sent.status, 201)
    assert.equal(sent.headers.get('iggy-durability'), 'replicated-disk')
    const { id: streamId } = await root.get('/streams/shop')
    const { id: topicId } = await root.get(topic)
    const confirmation = { stream_id: streamId, topic_id: topicId, partition_id: 1, base_offset: 0 }
    assert.deepEqual(sent.body, { confirmations: [confirmation] })

    const polled = await root.ask('GET', `${topic}/messages?consumer_id=c&partition_id=1&count=100`)
    assert.ok(polled.text.includes('"id":340282366920938463463374607431768211455,'), 'exactly')
    const { body } = polled
    assert.deepEqual([body.partition_id, body.current_offset, body.count], [1, 4, 5])
    assert.deepEqual(
      body.messages.map(({ payload }: { payload: string }) => Buffer.from(payload, 'base64').toString()),
      ['one', 'two', 'three', 'four', 'five'],
    )
    const [first, , third, fourth, fifth] = body.messages
    assert.deepEqual(first.user_headers, headers)
    assert.deepEqual([first.header.id, first.header.offset, first.header.payload_length], [7, 0, 3])
    assert.deepEqual([third.header.id, third.user_headers], [255, []])
    assert.equal(fourth.user_headers, b64('not headers'))
    assert.notEqual(fifth.header.id, 0)
    assert.equal(fifth.header.reserved, 0)

    const offsets = async (query: string): Promise<number[]> => {
      const { messages: found } = await root.get(`${topic}/messages?partition_id=1&consumer_id=c&${query}`)
      return found.map(({ header }: { header: { offset: number } }) => header.offset)
    }
    assert.deepEqual(await offsets('kind=offset&value=3'), [3, 4])
    assert.deepEqual(await offsets('kind=timestamp&value=0&count=2'), [0, 1])
    assert.deepEqual(await offsets(`kind=timestamp&value=${first.header.timestamp + 60_000_000}`), [])
    assert.deepEqual(await offsets('kind=last&count=2'), [3, 4])
    assert.deepEqual(await offsets('kind=first&count=1'), [0])
    assert.deepEqual(await offsets('kind=next&count=2&auto_commit=true'), [0, 1])
    assert.deepEqual(await offsets('kind=next&count=2&auto_commit=true&consistency=serializable'), [2, 3])
    assert.deepEqual(await offsets('kind=next&consistency=serializable'), [4])
    assert.deepEqual(await root.get(`${topic}/messages`), {
      partition_id: 0,
      current_offset: 0,
      count: 0,
      messages: [],
    })

    const key = { partitioning: { kind: 'messages_key', value: b64('customer') }, messages: [{ payload: b64('k') }] }
    const to = (await root.must('POST', `${topic}/messages`, key, 201)).confirmations[0].partition_id
    assert.equal((await root.must('POST', `${topic}/messages`, key, 201)).confirmations[0].partition_id, to)
    const balanced = { partitioning: { kind: 'balanced' }, messages: [{ payload: b64('b') }] }
    const hit = new Set<number>()
    for (let i = 0; i < 3; i++)
      hit.add((await root.must('POST', `${topic}/messages`, balanced, 201)).confirmations[0].partition_id)
    assert.equal(hit.size, 3)
    const unacknowledged = await root.ask('POST', `${topic}/messages?ack=none`, balanced)
    assert.deepEqual([unacknowledged.status, unacknowledged.headers.get('iggy-durability')], [202, 'none'])

    const missing = { partitioning: toPartition(9), messages: [{ payload: b64('x') }] }
    await root.refused('POST', `${topic}/messages`, missing, 404, Status.partitionNotFound)
    await root.refused('GET', `${topic}/messages?partition_id=9`, undefined, 404, Status.partitionNotFound)
    const none = { ...balanced, messages: [] }
    await root.refused('POST', `${topic}/messages`, none, 400, Status.invalidMessagesCount)
    await root.refused('GET', `${topic}/messages/flush/0/fsync=true`, undefined, 400, Status.featureUnavailable)
  })

  test('offsets of consumers and groups; groups', async () => {
    const topic = '/streams/shop/topics/messages'
    const made = await root.must('POST', `${topic}/consumer-groups`, { name: 'billing' }, 200)
    assert.deepEqual(made, { id: made.id, name: 'billing', partitions_count: 3, members_count: 0, members: [] })
    assert.deepEqual(await root.get(`${topic}/consumer-groups/billing`), made)
    const { members: _, ...summary } = made
    assert.deepEqual(await root.get(`${topic}/consumer-groups`), [summary])
    await root.refused(
      'POST',
      `${topic}/consumer-groups`,
      { name: 'billing' },
      400,
      Status.consumerGroupNameAlreadyExists,
    )

    const offsets = `${topic}/consumer-offsets`
    await root.must('PUT', offsets, { consumer_id: 'me', partition_id: 1, offset: 2 }, 204)
    assert.deepEqual(await root.get(`${offsets}?consumer_id=me&partition_id=1`), {
      partition_id: 1,
      current_offset: (await root.get(topic)).partitions[1].current_offset,
      stored_offset: 2,
    })
    await root.get(`${offsets}?consumer_id=other&partition_id=1`, 404)
    await root.must('DELETE', `${offsets}/me?partition_id=1`, undefined, 204)
    await root.refused('DELETE', `${offsets}/me?partition_id=1`, undefined, 404, Status.consumerOffsetNotFound)

    const group = { consumer_id: 'billing', consumer_kind: 'consumer_group', partition_id: 0, offset: 0 }
    await root.must('PUT', offsets, group, 204)
    const query = 'consumer_id=billing&consumer_kind=consumer_group&partition_id=0'
    assert.equal((await root.get(`${offsets}?${query}`)).stored_offset, 0)
    const member = `${topic}/messages?${query}`
    await root.refused('GET', member, undefined, 404, Status.consumerGroupMemberNotFound)
    await root.must('DELETE', `${topic}/consumer-groups/billing`, undefined, 204)
    await root.get(`${topic}/consumer-groups/billing`, 404)
  })

  test('users, their rights and passwords', async () => {
    const rights = { manage_servers: false, read_servers: true, send_messages: true }
    const permissions = {
      global: rights,
      streams: { 3: { read_stream: true, topics: { 5: { poll_messages: true } } }, 4: { manage_topics: true } },
    }
    const made = await root.must('POST', '/users', { username: 'bob', password: 'secret', permissions }, 200)
    assert.deepEqual([made.username, made.status, made.options], ['bob', 'active', {}])
    assert.equal(made.permissions.global.read_servers, true)
    assert.equal(made.permissions.global.manage_servers, false)
    assert.equal(Object.keys(made.permissions.global).length, 10)
    assert.equal(made.permissions.streams[3].topics[5].poll_messages, true)
    assert.equal(made.permissions.streams[3].topics[5].send_messages, false)
    assert.deepEqual([made.permissions.streams[4].manage_topics, made.permissions.streams[4].topics], [true, null])
    assert.deepEqual(await root.get('/users/bob'), made)
    const { permissions: _, ...summary } = made
    assert.deepEqual((await root.get('/users')).at(-1), summary)
    const bob = await guest().logIn('bob', 'secret')
    assert.deepEqual(await bob.get('/users/me'), made)
    assert.deepEqual(await bob.get(`/users/${made.id}`), made)
    await bob.refused('GET', '/users/iggy', undefined, 403, Status.unauthorized)

    await root.must('PUT', '/users/bob', { username: 'robert', status: null }, 204)
    await root.must('PUT', '/users/robert/permissions', { permissions: null }, 204)
    assert.equal((await bob.get('/users/me')).permissions, null)
    const change = { current_password: 'wrong', new_password: 'better' }
    await bob.refused('PUT', '/users/robert/password', change, 400, Status.invalidCredentials)
    await bob.must('PUT', '/users/robert/password', { ...change, current_password: 'secret' }, 204)
    await bob.refused('GET', '/users/me', undefined, 401, Status.unauthenticated)
    await bob.logIn('robert', 'better')
    await root.must('PUT', '/users/robert', { status: 'inactive' }, 204)
    await bob.refused('GET', '/users/me', undefined, 401, Status.unauthenticated)
    const login = { username: 'robert', password: 'better' }
    await guest().refused('POST', '/users/login', login, 400, Status.userInactive)
    await root.must('PUT', '/users/robert', { status: 'active' }, 204)
    await bob.logIn('robert', 'better')
    await root.must('DELETE', '/users/robert', undefined, 204)
    await bob.refused('GET', '/users/me', undefined, 401, Status.unauthenticated)
    await root.get('/users/robert', 404)
    await root.refused('DELETE', '/users/iggy', undefined, 400, Status.cannotDeleteUser)
    await root.refused('POST', '/users', { username: 'x', password: 'secret' }, 400, Status.invalidUsername)
    await root.refused('POST', '/users', { username: 'xxx', password: '?' }, 400, Status.invalidPassword)
  })

  test('tokens: personal ones log in and may be shown as they are; access tokens are refreshed, and end', async () => {
    const all = { name: 'tool', expiry: Number(ALL_ONES) }
    const { token } = await root.must('POST', '/personal-access-tokens', all, 200)
    assert.deepEqual(await root.get('/personal-access-tokens'), [{ name: 'tool', expiry_at: null }])
    const tool = new RestClient(root.at, token)
    assert.equal((await tool.get('/users/me')).username, 'iggy')
    const login = await guest().must('POST', '/personal-access-tokens/login', { token }, 200)
    const derived = new RestClient(root.at, login.access_token.token)
    await derived.get('/streams')
    await tool.must('DELETE', '/users/logout', undefined, 204)
    await tool.get('/streams')
    await root.must('DELETE', '/personal-access-tokens/tool', undefined, 204)
    for (const client of [tool, derived])
      await client.refused('GET', '/streams', undefined, 401, Status.unauthenticated)
    const wrong = { token: 'galgo_nobody' }
    await guest().refused('POST', '/personal-access-tokens/login', wrong, 401, Status.invalidPersonalAccessToken)

    const user = await guest().logIn()
    const other = await guest().logIn()
    const again = await guest().must('POST', '/users/refresh-token', { token: user.token }, 200)
    const fresh = new RestClient(root.at, again.access_token.token)
    await fresh.get('/streams')
    await guest().refused('POST', '/users/refresh-token', { token: 'x' }, 401, Status.unauthenticated)
    await fresh.must('DELETE', '/users/logout', undefined, 204)
    for (const client of [fresh, user]) await client.refused('GET', '/streams', undefined, 401, Status.unauthenticated)
    await guest().refused('POST', '/users/refresh-token', { token: user.token }, 401, Status.invalidPersonalAccessToken)
    await other.get('/streams')
  })

  test('what the node says of itself', async () => {
    const stats = await root.get('/stats')
    assert.equal(stats.process_id, process.pid)
    assert.match(stats.memory_usage, /^[\d.]+ [KMG]?i?B$/)
    assert.deepEqual([stats.cache_metrics, typeof stats.run_time], [{}, 'number'])
    const clients: { client_id: number; transport: string; address: string }[] = await root.get('/clients')
    const own = clients.find(({ transport }) => transport === 'HTTP')
    assert.ok(own?.address.startsWith('127.0.0.1:'))
    assert.deepEqual((await root.get(`/clients/${own?.client_id}`)).consumer_groups, [])
    await root.get('/clients/4000000', 404)
    const { name, nodes } = await root.get('/cluster/metadata')
    const endpoints = { tcp: node.clientPort, quic: 0, http: node.httpPort, websocket: 0 }
    assert.deepEqual([name, nodes[0].endpoints, nodes[0].role], ['single-node', endpoints, 'leader'])
    const options: { key: string; kind: string; default_value: number[] }[] = await root.get('/options/topic')
    const size = options.find(({ key }) => key === 'segment_size')
    assert.deepEqual([size?.kind, size?.default_value], ['uint64', [0, 0, 0, 64, 0, 0, 0, 0]])
    assert.deepEqual(await root.get('/options/stream'), [])
    await root.refused('GET', '/options/nothing', undefined, 400, Status.invalidFormat)
    const archive = await fetch(`http://${root.at}/snapshot`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${root.token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ compression: 'Deflated', snapshot_types: ['ServerConfig'] }),
    })
    assert.equal(archive.headers.get('content-type'), 'application/zip')
    assert.ok(Object.keys(unzipSync(new Uint8Array(await archive.arrayBuffer()))).length > 0)
    const other = { compression: 'Zstd', snapshot_types: ['All'] }
    await root.refused('POST', '/snapshot', other, 400, Status.featureUnavailable)
  })

  test('a user without rights is told 403 by every route that is not about itself, and nothing happens', async () => {
    await root.must('POST', '/users', { username: 'nobody', password: 'secret' }, 200)
    const nobody = await guest().logIn('nobody', 'secret')
    const before = await root.get('/streams')
    const topic = '/streams/shop/topics/messages'
    const name = { name: 'x' }
    const denied: readonly (readonly [string, string, unknown?])[] = [
      ['GET', '/streams'],
      ['POST', '/streams', name],
      ['GET', '/streams/shop'],
      ['PUT', '/streams/shop', name],
      ['DELETE', '/streams/shop'],
      ['DELETE', '/streams/shop/purge'],
      ['GET', '/streams/shop/topics'],
      ['POST', '/streams/shop/topics', { ...name, partitions_count: 1 }],
      ['GET', topic],
      ['PUT', topic, name],
      ['DELETE', topic],
      ['DELETE', `${topic}/purge`],
      ['POST', `${topic}/partitions`, { partitions_count: 1 }],
      ['DELETE', `${topic}/partitions?partitions_count=1`],
      ['DELETE', `${topic}/partitions/0?segments_count=1`],
      ['GET', `${topic}/consumer-groups`],
      ['POST', `${topic}/consumer-groups`, name],
      ['GET', `${topic}/consumer-groups/g`],
      ['DELETE', `${topic}/consumer-groups/g`],
      ['GET', `${topic}/messages`],
      ['GET', `${topic}/messages?auto_commit=true`],
      ['GET', `${topic}/messages?consistency=serializable`],
      ['POST', `${topic}/messages`, { partitioning: { kind: 'balanced' }, messages: [{ payload: '' }] }],
      ['GET', `${topic}/messages/flush/0/fsync=false`],
      ['GET', `${topic}/consumer-offsets`],
      ['PUT', `${topic}/consumer-offsets`, { offset: 1 }],
      ['DELETE', `${topic}/consumer-offsets/1`],
      ['GET', '/users'],
      ['POST', '/users', { username: 'friend', password: 'secret' }],
      ['GET', '/users/iggy'],
      ['PUT', '/users/nobody', { username: 'king' }],
      ['DELETE', '/users/nobody'],
      ['PUT', '/users/nobody/permissions', { permissions: { global: { manage_users: true } } }],
      ['PUT', '/users/iggy/password', { current_password: 'iggy', new_password: 'mine' }],
      ['GET', '/stats'],
      ['GET', '/clients'],
      ['GET', '/clients/1'],
      ['POST', '/snapshot', {}],
    ]
    for (const [method, path, body] of denied) {
      await nobody.refused(method, path, body, 403, Status.unauthorized)
      await guest().refused(method, path, body, 401, Status.accessTokenMissing)
    }
    const allowed = ['/users/me', '/users/nobody', '/personal-access-tokens', '/cluster/metadata', '/options/topic']
    for (const path of allowed) await nobody.get(path)
    assert.deepEqual(await root.get('/streams'), before)
  })

  test('nonsense is refused with why, and never more than that', async () => {
    const topic = '/streams/shop/topics/messages'
    const send = `${topic}/messages`
    const message = { payload: b64('x') }
    const balanced = { kind: 'balanced' }
    const deep = `${'['.repeat(50_000)}1234567890123456789${']'.repeat(50_000)}`
    const bodies: readonly (readonly [string, string, unknown])[] = [
      ['POST', '/streams', '{'],
      ['POST', '/streams', ''],
      ['POST', '/streams', 'null'],
      ['POST', '/streams', '[]'],
      ['POST', '/streams', '"name"'],
      ['POST', '/streams', deep],
      ['POST', '/streams', { name: 7 }],
      ['POST', '/streams', { name: null }],
      ['POST', '/streams', '{"__proto__":{"name":"x"}}'],
      ['POST', '/streams/shop/topics', { name: 'x', partitions_count: -1 }],
      ['POST', '/streams/shop/topics', { name: 'x', partitions_count: 1.5 }],
      ['POST', '/streams/shop/topics', { name: 'x', partitions_count: 2 ** 32 }],
      ['POST', '/streams/shop/topics', '{"name":"x","partitions_count":1e400}'],
      ['POST', '/streams/shop/topics', '{"name":"x","partitions_count":1,"message_expiry":9007199254740993}'],
      ['POST', '/streams/shop/topics', { name: 'x', partitions_count: 1, message_expiry: '1h' }],
      ['POST', '/users', { username: 'x', password: ['secret'] }],
      ['PUT', '/users/nobody/permissions', { permissions: { global: { manage_users: 'yes' } } }],
      ['PUT', '/users/nobody/permissions', { permissions: { global: {}, streams: { '-1': {} } } }],
      ['POST', send, { messages: [message] }],
      ['POST', send, { partitioning: balanced, messages: [message], extra: 1 }],
      ['POST', send, { partitioning: { kind: 'partition_id', value: '' }, messages: [message] }],
      ['POST', send, { partitioning: balanced, messages: [{ payload: 'no base64!' }] }],
      ['POST', send, { partitioning: balanced, messages: [{ ...message, id: -1 }] }],
      ['POST', send, { partitioning: balanced, messages: [{ ...message, id: 'x' }] }],
      ['POST', send, { partitioning: balanced, messages: [{ ...message, id: '9'.repeat(39) }] }],
      ['POST', send, `{"partitioning":{"kind":"balanced"},"messages":[{"payload":"","id":${'9'.repeat(39)}}]}`],
      ['POST', send, { partitioning: balanced, messages: [{ ...message, user_headers: [{ key: 1 }] }] }],
      ['PUT', `${topic}/consumer-offsets`, { offset: -1 }],
      ['PUT', `${topic}/consumer-offsets`, '{"offset":18446744073709551615}'],
    ]
    for (const [method, path, body] of bodies) await root.refused(method, path, body, 400, Status.invalidFormat)

    const key = { kind: 'messages_key', value: b64('k'.repeat(256)) }
    const tooLong = { partitioning: key, messages: [message] }
    await root.refused('POST', send, tooLong, 400, Status.invalidKeyValueLength)
    await root.refused('POST', '/streams', { name: '' }, 400, Status.invalidStreamName)
    await root.refused('POST', '/streams', { name: 'é'.repeat(128) }, 400, Status.invalidStreamName)
    const badHeader = { key: { kind: 'string', value: '' }, value: { kind: 'bool', value: 'AQ==' } }
    const withHeader = { partitioning: balanced, messages: [{ ...message, user_headers: [badHeader] }] }
    await root.refused('POST', send, withHeader, 400, Status.invalidHeaderKey)

    for (const query of ['count=-1', 'count=x', 'count=4294967296', 'kind=middle', 'value=1e3', 'partition_id=0x1'])
      await root.refused('GET', `${send}?${query}`, undefined, 400, Status.invalidFormat)
    await root.refused('GET', `${send}?auto_commit=1`, undefined, 400, Status.invalidFormat)
    await root.refused('GET', '/streams?consistency=sometimes', undefined, 400, Status.invalidFormat)
    await root.refused('DELETE', `${topic}/partitions`, undefined, 400, Status.invalidFormat)
    await root.refused('GET', `/streams/${'x'.repeat(256)}`, undefined, 400, Status.invalidIdentifier)
    for (const name of ['..%2f..%2fetc%2fpasswd', '%00', '%ff', '%', '99999999999', 'constructor', '__proto__'])
      await root.get(`/streams/${name}`, 404)

    const plain = await root.ask('POST', '/streams', '{"name":"x"}', { 'Content-Type': 'text/plain' })
    assert.deepEqual([plain.status, plain.body.code], [415, 'unsupported_media_type'])
    const patch = await root.ask('PATCH', '/streams')
    assert.deepEqual([patch.status, patch.headers.get('allow')], [405, 'GET, POST'])
    assert.equal((await root.ask('GET', '/nothing')).status, 404)
    await root.get('/ping')
  })

  test('who is not, is not let in by anything that looks like a token', async () => {
    const [header, payload, signature] = (root.token as string).split('.') as [string, string, string]
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const forged = [
      `${part({ alg: 'none', typ: 'JWT' })}.${payload}.`,
      `${part({ alg: 'none', typ: 'JWT' })}.${payload}.${signature}`,
      `${part({ alg: 'HS512', typ: 'JWT' })}.${payload}.${signature}`,
      `${header}.${part({ ...claims, exp: claims.exp + 1 })}.${signature}`,
      `${header}.${part({ ...claims, sub: '1' })}.${signature}`,
      `${header}.${part({ ...claims, sub: '4294967295' })}.${signature}`,
      `${header}.${payload}.${signature.slice(0, -2)}`,
      `${header}.${payload}.`,
      'a.b.c',
      '...',
      '0',
      `galgo_${'x'.repeat(43)}`,
      'x'.repeat(255),
      'x'.repeat(300),
    ]
    for (const token of forged)
      await new RestClient(root.at, token).refused('GET', '/streams', undefined, 401, Status.unauthenticated)
    for (const authorization of ['', 'Basic aWdneTppZ2d5', 'Bearer', 'Bearer a b']) {
      const reply = await guest().ask('GET', '/streams', undefined, { Authorization: authorization })
      assert.deepEqual([reply.status, reply.headers.get('www-authenticate')], [401, 'Bearer'], authorization)
    }
    await root.get('/streams')
  })

  test('of whoever has no good token no body is read, nor one of a login that is larger than a login', async () => {
    const forged = `Authorization: Bearer ${'x'.repeat(40)}\r\n`
    const known = `Authorization: Bearer ${root.token}\r\n`
    const unfinished = [
      ['POST /streams', '', 401],
      ['POST /streams', forged, 401],
      ['POST /snapshot', forged, 401],
      ['POST /streams/shop/topics/messages/messages', forged, 401],
      ['POST /users/login', '', 413],
      ['POST /users/login', known, 413],
    ] as const
    for (const [request, authorization, status] of unfinished) {
      const head = `${request} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${authorization}`
      for (const framing of ['Content-Length: 200000\r\n\r\n', 'Transfer-Encoding: chunked\r\n\r\n10000\r\n']) {
        const answer = await firstLine(node.httpPort, `${head}${framing}${' '.repeat(65_536)}`)
        assert.equal(answer, status, `${request} ${framing}`)
      }
    }
    await root.get('/streams')
  })

  test('bodies have limits, which are kept while they come', async () => {
    const huge = await root.ask('POST', '/streams', JSON.stringify({ name: 'x'.repeat(300_000) }))
    assert.deepEqual([huge.status, huge.body.code], [413, 'payload_too_large'])
    let sent = 0
    const endless = new ReadableStream({
      pull(controller) {
        sent += 65_536
        controller.enqueue(new Uint8Array(65_536).fill(32))
      },
    })
    const streamed = await fetch(`http://${root.at}/users/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: endless,
      duplex: 'half',
    } as RequestInit).then(
      ({ status }) => status,
      () => 'closed',
    )
    assert.ok(streamed === 413 || streamed === 'closed', String(streamed))
    assert.ok(sent < 64 * 1024 * 1024)

    const send = '/streams/shop/topics/messages/messages'
    const fits = { partitioning: toPartition(0), messages: [{ payload: b64('x'.repeat(FRAME_SIZE_MAX - 1000)) }] }
    await root.must('POST', send, fits, 201)
    const larger = { ...fits, messages: [{ payload: b64('x'.repeat(FRAME_SIZE_MAX)) }] }
    const refused = await root.ask('POST', send, larger)
    assert.deepEqual([refused.status, refused.body.code], [413, 'command_length_error'])
    await root.get('/streams')
  })

  test('guesses are slowed down, as those of other clients', async () => {
    const guess = async (): Promise<number> => {
      const before = performance.now()
      const wrong = { username: 'victim', password: 'wrong-password' }
      await guest().refused('POST', '/users/login', wrong, 400, Status.invalidCredentials)
      return performance.now() - before
    }
    for (let i = 0; i < 5; i++) await guess()
    assert.ok((await guess()) >= 100)
    await guest().logIn()
  })

  test('no log has a password or a token in it', async () => {
    const { token } = await root.must('POST', '/personal-access-tokens', { name: 'logged' }, 200)
    await new RestClient(root.at, token).get('/streams')
    const lines = `${readFileSync(logFile, 'utf8')}${logged.join('')}`
    assert.ok(lines.includes('login-refused'))
    const [header, payload] = (root.token as string).split('.') as [string, string]
    for (const secret of [token, header, payload, 'wrong-password', 'secret', 'better'])
      assert.ok(!lines.includes(secret), `the log has ${secret}`)
  })
})
