// The SDK in Chromium: bundled as a page's build does it, over a WebSocket, against a real node.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Browser } from 'playwright-core'
import { build } from 'vite'
import { buildPackage } from '../../scripts/build-package.mjs'
import type { GalgoNode } from '../../src/server/node.ts'
import { temporaryDirectory } from '../integration/processes.ts'
import { startNode } from '../integration/transport-node.ts'
import { startBrowser } from './browser.ts'

const skip = process.platform === 'linux' ? false : 'the tests of pages run on Linux'
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const ENTRY = 'virtual:page'

/** What a page would be: the package by its name, so that its condition for browsers is what decides. */
const PAGE = `
import { connect } from 'galgo'
globalThis.run = async (server) => {
  const client = await connect({ servers: [server], credentials: { username: 'iggy', password: 'iggy' } })
  await client.createStream('page')
  await client.createTopic('page', 't', { partitions: 1 })
  const producer = client.producer({ stream: 'page', topic: 't', partition: 0 })
  await Promise.all([1, 2, 3].map((n) => producer.send({ payload: 'from a page ' + n })))
  await producer.close()
  const read = []
  for await (const { payload } of client.consumer({ stream: 'page', topic: 't' })) read.push(new TextDecoder().decode(payload))
  const { transport } = await client.me()
  await client.close()
  return { read, transport }
}
globalThis.refused = async (options) => {
  try {
    await connect({ servers: ['127.0.0.1:1'], credentials: { username: 'iggy', password: 'iggy' }, ...options })
  } catch (error) {
    return error.code
  }
}
`

async function bundle(): Promise<string> {
  buildPackage()
  const built = await build({
    root: ROOT,
    configFile: false,
    logLevel: 'silent',
    plugins: [
      {
        name: 'page',
        resolveId: (id) => (id === ENTRY ? fileURLToPath(new URL('page-of-a-test.js', import.meta.url)) : undefined),
        load: (id) => (id.endsWith('page-of-a-test.js') ? PAGE : undefined),
      },
    ],
    build: {
      write: false,
      target: 'es2024',
      minify: false,
      rolldownOptions: { input: ENTRY, output: { format: 'iife' } },
    },
  })
  const [output] = [built].flat()
  assert.ok(output !== undefined && 'output' in output)
  const [chunk] = output.output
  assert.ok(chunk.type === 'chunk')
  return chunk.code
}

const directory = temporaryDirectory()
let browser: Browser
let node: GalgoNode
let script = ''
const site = createServer((request, response) => {
  const asked = request.url === '/page.js'
  response.setHeader('Content-Type', asked ? 'text/javascript' : 'text/html')
  response.end(asked ? script : '<!doctype html><link rel="icon" href="data:,"><script src="/page.js"></script>')
})

before(
  async () => {
    if (skip !== false) return
    script = await bundle()
    await new Promise<void>((done) => site.listen(0, '127.0.0.1', done))
    const { port } = site.address() as AddressInfo
    const origins = { GALGO_WEBSOCKET_ORIGINS: `http://127.0.0.1:${port}` }
    node = await startNode(directory.path, { client: 'off', websocket: '127.0.0.1:0' }, origins)
    browser = await startBrowser()
  },
  { timeout: 360_000 },
)

after(async () => {
  await browser?.close()
  await node?.stop()
  site.close()
  directory.remove()
})

test('a page produces and consumes; nothing of Node is in it', { skip }, async () => {
  assert.doesNotMatch(script, /node:(net|tls|crypto|fs)|__vite-browser-external/)
  const page = await browser.newPage()
  const { port } = site.address() as AddressInfo
  await page.goto(`http://127.0.0.1:${port}/`)
  const call = (name: string, argument: unknown): Promise<unknown> =>
    page.evaluate(([f, a]) => (globalThis as unknown as Record<string, (x: unknown) => unknown>)[f as string]?.(a), [
      name,
      argument,
    ] as const)
  assert.deepEqual(await call('run', `127.0.0.1:${node.websocketPort}`), {
    read: ['from a page 1', 'from a page 2', 'from a page 3'],
    transport: 'websocket',
  })
  assert.equal(await call('refused', { transport: 'tcp' }), 'invalid-argument')
  assert.equal(await call('refused', { tls: { ca: '' } }), 'invalid-argument')
  await page.close()
})

test('a page of another origin does not reach the node', { skip }, async () => {
  const { port } = site.address() as AddressInfo
  const page = await browser.newPage()
  // The same page, but another origin.
  await page.goto(`http://localhost:${port}/`)
  const code = await page.evaluate(
    (server) =>
      (globalThis as unknown as { refused(options: unknown): Promise<string> }).refused({
        servers: [server],
        timeoutMs: 500,
      }),
    `127.0.0.1:${node.websocketPort}`,
  )
  assert.equal(code, 'no-connection')
  await page.close()
})
