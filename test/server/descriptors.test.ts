// Connections leave descriptors for a node's own files, however few the process may have.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { execPath } from 'node:process'
import { test } from 'node:test'
import type { NodeConfig } from '../../src/server/config.ts'
import { descriptorLimit, withinDescriptors } from '../../src/server/descriptors.ts'
import { OPEN_FILES_MAX } from '../../src/server/disk.ts'
import { ServerError } from '../../src/server/errors.ts'

const ANYWHERE = { host: '127.0.0.1', port: 0 }

function config(more: Partial<NodeConfig> = {}): NodeConfig {
  const limits = { connections: 1024, connectionsPerAddress: 768, httpConnections: 256, httpConnectionsPerAddress: 64 }
  return { addresses: [ANYWHERE], http: null, tls: null, websocket: null, limits, ...more } as NodeConfig
}

/** What is left of the limits, and the codes that were logged. */
function within(descriptors: number, more: Partial<NodeConfig> = {}): { limits: NodeConfig['limits']; said: string[] } {
  const said: string[] = []
  const note = (code: string): void => void said.push(code)
  const log = { debug: note, info: note, warn: note, error: note }
  return { limits: withinDescriptors(config(more), log, descriptors).limits, said }
}

test('with enough of them nothing is changed, nor said', () => {
  assert.deepEqual(within(Number.POSITIVE_INFINITY), { limits: config().limits, said: [] })
  assert.deepEqual(within(65_536, { http: ANYWHERE, tls: { address: ANYWHERE, advertisePort: 0 } }).said, [])
})

test('with few, all connections at once leave those that files need, and it is said', () => {
  const three = [ANYWHERE, ANYWHERE, ANYWHERE]
  for (const descriptors of [736, 800, 1024, 2000])
    for (const [each, more] of [
      [1, {}],
      [2, { http: ANYWHERE }],
      [4, { http: ANYWHERE, addresses: three }],
      [5, { http: ANYWHERE, addresses: three, tls: { address: ANYWHERE, advertisePort: 0 } }],
    ] as const) {
      const { limits, said } = within(descriptors, more)
      const http = 'http' in more ? limits.httpConnections : 0
      const used = each * limits.connections + http
      assert.ok(used + OPEN_FILES_MAX < descriptors, `${used} of ${descriptors}`)
      assert.ok(limits.connections >= 8 && limits.connectionsPerAddress <= limits.connections)
      const fewer = limits.connections < 1024 || limits.httpConnections < 256
      assert.deepEqual(said, fewer ? ['few-descriptors'] : [])
    }
})

test('with too few it is refused, in words that say what to raise', () => {
  assert.throws(
    () => within(256),
    (error) =>
      error instanceof ServerError &&
      error.code === 'bad-config' &&
      /may have 256 open files.*ulimit -n/.test(error.message),
  )
})

test('the limit is the one that the process has', () => {
  const url = new URL('../../src/server/descriptors.ts', import.meta.url)
  const source = `import { descriptorLimit } from '${url}'; console.log(descriptorLimit())`
  const script = 'ulimit -Sn 700; ulimit -Hn 700; exec "$0" --input-type=module -e "$1"'
  assert.equal(execFileSync('sh', ['-c', script, execPath, source], { encoding: 'utf8' }).trim(), '700')
  assert.equal(descriptorLimit('nothing of it'), Number.POSITIVE_INFINITY)
})
