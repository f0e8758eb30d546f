// The simulator as a page: a few built files, served as they are. The page speaks to nobody, and is told so.
import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Context, Hono } from 'hono'

const BUILT = fileURLToPath(new URL('../../build/simulator/', import.meta.url))
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
}
const NAME = /^[A-Za-z0-9_-]+\.(js|css)$/
/** Names of assets change with their contents; the page itself is asked for again. */
const FOREVER = 'public, max-age=31536000, immutable'
const HEADERS = {
  // WebAssembly computes checksums.
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
} as const

/** `folder`: of the built page. */
export function serveSimulator(app: Hono, folder = BUILT): void {
  app.get('/simulator', (c) => c.redirect('/simulator/', 308))
  app.get('/simulator/', async (c) => (await send(c, folder, 'index.html', 'no-cache')) ?? notBuilt(c))
  app.get('/simulator/assets/:name', async (c) => {
    const name = c.req.param('name')
    const sent = NAME.test(name) ? await send(c, join(folder, 'assets'), name, FOREVER) : null
    return sent ?? c.text(`the simulator page has no file ${name}; open /simulator/ again\n`, 404)
  })
}

/** Null when there is no such file. */
async function send(c: Context, folder: string, name: string, cache: string): Promise<Response | null> {
  let bytes: Uint8Array<ArrayBuffer>
  try {
    bytes = await readFile(join(folder, name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  const type = TYPES[extname(name)] ?? 'application/octet-stream'
  return c.body(bytes, 200, { ...HEADERS, 'Content-Type': type, 'Cache-Control': cache })
}

function notBuilt(c: Context): Response {
  return c.text(
    'The simulator page is not built. Run `npm run build:simulator` where Galgo is checked out, and load this page again; the node need not be restarted.\n',
    503,
    { 'Cache-Control': 'no-store' },
  )
}
