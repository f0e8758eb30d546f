// Three nodes that serve TLS and WebSockets too, with a certificate of their own each: clients follow the primary over the
// transport that they came by, also when it is killed; the command line and SIGHUP.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ConnectOptions, connect } from '../../src/index.ts'
import type { NodeStatus } from '../../src/server/status.ts'
import { galgo } from '../cli/command-line.ts'
import { CREDENTIALS, type NodeProcess, until, withCluster } from './processes.ts'

const FLAGS = ['--tls', '127.0.0.1:0', '--tls-certificate', 'self-signed', '--websocket', '127.0.0.1:0']

test('clients by TLS and by WebSocket go on after their primary is killed; nothing is stored twice', async () => {
  await withCluster(3, { flags: FLAGS }, async (cluster) => {
    const states = await cluster.converged()
    const first = states[0] as NodeStatus
    const ca = cluster.nodes.map(({ data }) => readFileSync(join(data, 'self-signed.pem'), 'utf8'))
    // One address each: the others, and who leads, they are told.
    const ways: ConnectOptions[] = [
      { servers: [first.addresses.tls as string], credentials: CREDENTIALS, tls: { ca } },
      { servers: [first.addresses.websocket as string], credentials: CREDENTIALS, transport: 'websocket' },
    ]
    for (const [i, way] of ways.entries()) {
      const stream = `s${i}`
      // Found through a backup, unless it happens to lead.
      const leader = await cluster.primary()
      const status = (await leader.status()) as NodeStatus
      const port = i === 0 ? status.addresses.tls : status.addresses.websocket
      const client = await connect({ ...way, servers: [port as string] })
      await client.createStream(stream)
      await client.createTopic(stream, 't', { partitions: 1 })
      const send = (n: number) => client.sendBatch({ stream, topic: 't', partition: 0 }, [{ payload: `m${n}` }])
      for (let n = 0; n < 20; n++) assert.equal((await send(n)).offset, n)
      await leader.signal('SIGKILL')
      for (let n = 20; n < 40; n++) assert.equal((await send(n)).offset, n)
      assert.notEqual(client.server, port)
      const { transport } = await client.me()
      assert.equal(transport, i === 0 ? 'tcp' : 'websocket')
      const read: string[] = []
      for await (const { payload } of client.consumer({ stream, topic: 't' }))
        read.push(new TextDecoder().decode(payload))
      assert.deepEqual(
        read,
        Array.from({ length: 40 }, (_, n) => `m${n}`),
      )
      await client.close()
      leader.start()
      await cluster.converged()
    }

    // The command line, by the file that the node keeps for it.
    const node = cluster.nodes[0] as NodeProcess
    const { addresses } = (await node.status()) as NodeStatus
    const bundle = join(node.data, '..', 'all.pem')
    writeFileSync(bundle, ca.join(''))
    const servers = ['--servers', addresses.tls as string]
    const listed = await galgo(['stream', 'list', ...servers, '--tls-ca', bundle])
    assert.equal(listed.exitCode, 0, listed.err)
    assert.match(listed.out, /s0[^]*s1/)
    const byVariable = await galgo(['stream', 'list', ...servers], { environment: { GALGO_TLS_CA: bundle } })
    assert.equal(byVariable.exitCode, 0, byVariable.err)
    const untrusted = await galgo(['stream', 'list', ...servers, '--tls', '--timeout', '500ms'])
    assert.equal(untrusted.exitCode, 4)
    assert.match(untrusted.err, /unknown authority; name that in tls\.ca \(--tls-ca\)/)
    const missing = await galgo(['stream', 'list', '--tls-ca', '/nowhere.pem'])
    assert.equal(missing.exitCode, 2)
    assert.match(missing.err, /cannot read the certificates in \/nowhere\.pem/)

    // A hang-up is a look at the files, not the end.
    writeFileSync(join(node.data, 'self-signed.pem'), 'nonsense')
    process.kill(node.pid, 'SIGHUP')
    await until('a look at the certificate', async () =>
      node.output.includes('tls-certificate-refused') ? true : undefined,
    )
    assert.equal((await node.status())?.status, 'normal')
  })
})
