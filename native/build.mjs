// Compiles the addon: one call of the C compiler against the headers that come with the pinned runtime, about a second.
// Plain JavaScript for Node 20. `node build.mjs` prints why it cannot and ends with 1; nothing depends on it having worked.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { arch, argv, env, execPath, pid, platform } from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const FLAGS = ['-std=gnu11', '-O3', '-shared', '-fPIC', '-fvisibility=hidden', '-Wall', '-Wextra', '-DNDEBUG']

/** Writes build/io_uring.node; undefined, or why that is not possible. */
export function build({ flags = [] } = {}) {
  if (platform !== 'linux') return `io_uring is Linux's, this is ${platform}`
  const headers = findHeaders()
  if (headers === undefined) return 'no headers of Node.js (node_api.h, uv.h) were found'
  const compiler = findCompiler()
  if (compiler === undefined) return 'no C compiler was found (CC, cc, gcc, clang)'
  const sources = readdirSync(join(here, 'src'))
    .filter((name) => name.endsWith('.c') && name !== 'checksum-wasm.c')
    .map((name) => join('src', name))
  mkdirSync(join(here, 'build'), { recursive: true })
  // Another process may be building, or have the old file mapped: a whole file takes its place.
  const draft = join('build', `io_uring.${pid}.tmp`)
  const args = [...FLAGS, ...flags, '-isystem', headers, ...sources, '-o', draft]
  const result = spawnSync(compiler, args, { cwd: here, encoding: 'utf8' })
  if (result.status !== 0) {
    rmSync(join(here, draft), { force: true })
    return `${compiler} failed: ${result.error?.message ?? result.stderr.trim()}`
  }
  if (result.stderr !== '') console.error(result.stderr.trimEnd())
  renameSync(join(here, draft), join(here, 'build', 'io_uring.node'))
  return undefined
}

function findHeaders() {
  const places = [join(dirname(dirname(execPath)), 'include', 'node'), '/usr/include/node', '/usr/local/include/node']
  for (let folder = here; ; folder = dirname(folder)) {
    places.unshift(join(folder, 'node_modules', `node-linux-${arch}`, 'include', 'node'))
    if (folder === dirname(folder)) break
  }
  return places.find((place) => existsSync(join(place, 'node_api.h')) && existsSync(join(place, 'uv.h')))
}

function findCompiler() {
  const names = [env.CC, 'cc', 'gcc', 'clang'].filter((name) => name !== undefined && name !== '')
  return names.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0)
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) {
  const reason = build({ flags: argv.slice(2) })
  if (reason !== undefined) {
    console.error(reason)
    process.exitCode = 1
  }
}
