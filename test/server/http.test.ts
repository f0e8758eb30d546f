import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { ServerError } from '../../src/server/errors.ts'
import { createApp, serveHttp } from '../../src/server/http.ts'
import type { NodeStatus } from '../../src/server/status.ts'

const STATUS = { status: 'normal', primary: 1, replica: 0, view: 4 } as unknown as NodeStatus

test('health is 200 while the node follows a primary, else 503 with why', async () => {
  const healthy = await createApp(async () => STATUS).request('/health')
  assert.equal(healthy.status, 200)
  assert.deepEqual(await healthy.json(), { healthy: true, replica: 0, status: 'normal', primary: 1 })
  const voting = await createApp(async () => ({ ...STATUS, status: 'view_change', primary: null })).request('/health')
  assert.equal(voting.status, 503)
  const broken = await createApp(async () => {
    throw new Error('no answer')
  }).request('/health')
  assert.equal(broken.status, 503)
  assert.deepEqual(await broken.json(), { healthy: false, reason: 'no answer' })
})

test('status is what the node says; other methods and paths are told where to go', async () => {
  const app = createApp(async () => STATUS)
  assert.deepEqual(await (await app.request('/status')).json(), STATUS)
  const post = await app.request('/status', { method: 'POST' })
  assert.equal(post.status, 405)
  assert.equal(post.headers.get('allow'), 'GET, HEAD')
  const lost = await app.request('/nothing')
  assert.equal(lost.status, 404)
  assert.match(((await lost.json()) as { error: string }).error, /\/health, \/status, \/simulator\//)
})

test('a busy port is a sentence', async () => {
  const server = createServer()
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })
  await assert.rejects(
    serveHttp({ host: '127.0.0.1', port }, async () => STATUS),
    (error) => {
      assert.ok(error instanceof ServerError)
      assert.equal(error.code, 'port-in-use')
      assert.match(error.message, new RegExp(`HTTP on 127.0.0.1:${port}.*--http`))
      return true
    },
  )
  await new Promise((closed) => server.close(closed))
  const http = await serveHttp({ host: '127.0.0.1', port: 0 }, async () => STATUS)
  assert.ok(http.port > 0)
  await http.close()
})
