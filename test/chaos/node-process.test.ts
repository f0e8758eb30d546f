// A stop that does not come to its end is not mistaken for a node that a fault has killed meanwhile.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { NodeProcess } from '../../chaos/node-process.ts'
import { clusterId, clusterIdText, formatNode } from '../../src/server/format.ts'
import { temporaryDirectory } from '../integration/processes.ts'

async function withNode(use: (node: NodeProcess) => Promise<void>): Promise<void> {
  const { path, remove } = temporaryDirectory()
  const [data, config, log] = ['node', 'node.toml', 'node.log'].map((name) => join(path, name)) as [
    string,
    string,
    string,
  ]
  const { promise: ready, resolve } = Promise.withResolvers<void>()
  await formatNode({ data, cluster: 'test', replica: 0, replicas: 1, frameSizeMax: 64 * 1024, journalSlots: 128 })
  const lines = [`data = ${JSON.stringify(data)}`, 'addresses = ["127.0.0.1:1"]', 'client = "127.0.0.1:0"']
  writeFileSync(config, [...lines, 'http = "127.0.0.1:0"', ''].join('\n'))
  const node = new NodeProcess({
    index: 0,
    data,
    config,
    log,
    cluster: clusterIdText(clusterId('test')),
    compileCache: join(path, 'compile-cache'),
    stopMs: 500,
    onReady: () => resolve(),
    onDeath: () => resolve(),
  })
  try {
    node.start()
    await ready
    assert.ok(node.running, node.lastLines().join('\n'))
    await use(node)
  } finally {
    await node.kill()
    remove()
  }
}

test('a node that does not end when it is asked to', { timeout: 60_000 }, async () => {
  await withNode(async (node) => {
    node.pause()
    assert.equal(await node.stop(), 'no end in time')
  })
})

test('a node that is killed while it stops', { timeout: 60_000 }, async () => {
  await withNode(async (node) => {
    node.pause()
    const stopped = node.stop()
    await node.kill()
    assert.equal(await stopped, 'SIGKILL')
  })
})
