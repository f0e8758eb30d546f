import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Hono } from 'hono'
import { serveSimulator } from '../../src/server/simulator-page.ts'
import { temporaryDirectory } from '../integration/processes.ts'

async function withFolder(use: (app: Hono, folder: string) => Promise<void>): Promise<void> {
  const { path, remove } = temporaryDirectory()
  const app = new Hono()
  serveSimulator(app, join(path, 'page'))
  try {
    await use(app, path)
  } finally {
    remove()
  }
}

test('what was built is served: the page asked for again, its assets kept, all under a strict policy', async () => {
  await withFolder(async (app, folder) => {
    mkdirSync(join(folder, 'page', 'assets'), { recursive: true })
    writeFileSync(join(folder, 'page', 'index.html'), '<title>built</title>')
    writeFileSync(join(folder, 'page', 'assets', 'index-a_B-1.js'), 'void 0')
    const page = await app.request('/simulator/')
    assert.equal(page.status, 200)
    assert.equal(await page.text(), '<title>built</title>')
    assert.equal(page.headers.get('content-type'), 'text/html; charset=utf-8')
    assert.equal(page.headers.get('cache-control'), 'no-cache')
    const script = await app.request('/simulator/assets/index-a_B-1.js')
    assert.equal(script.headers.get('content-type'), 'text/javascript; charset=utf-8')
    assert.match(script.headers.get('cache-control') ?? '', /immutable/)
    for (const { headers } of [page, script]) {
      const policy = headers.get('content-security-policy') ?? ''
      assert.match(policy, /default-src 'none'/)
      assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval'(?<!wasm-unsafe-eval')|\*|https?:/)
      assert.equal(headers.get('x-content-type-options'), 'nosniff')
    }
    assert.equal((await app.request('/simulator')).headers.get('location'), '/simulator/')
    assert.equal((await app.request('/simulator/', { method: 'HEAD' })).status, 200)
  })
})

test('nothing but assets is served, wherever a name leads', async () => {
  await withFolder(async (app, folder) => {
    mkdirSync(join(folder, 'page', 'assets'), { recursive: true })
    writeFileSync(join(folder, 'page', 'secret.js'), 'secret')
    writeFileSync(join(folder, 'page', 'assets', '.hidden.js'), 'secret')
    for (const name of [
      '..%2Fsecret.js',
      '%2e%2e%2fsecret.js',
      '.hidden.js',
      'other.js',
      'index.html',
      '%00.js',
      '..%5Csecret.js',
    ]) {
      const answer = await app.request(`/simulator/assets/${name}`)
      assert.equal(answer.status, 404, name)
      assert.doesNotMatch(await answer.text(), /^secret$/)
    }
  })
})

test('a page that is not built says how to build it', async () => {
  await withFolder(async (app) => {
    const answer = await app.request('/simulator/')
    assert.equal(answer.status, 503)
    assert.match(await answer.text(), /npm run build:simulator/)
    assert.equal(answer.headers.get('cache-control'), 'no-store')
  })
})
