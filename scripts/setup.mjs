// Makes a checkout ready: installs what the lock file says, builds the addon and the simulator's page, links the command. Does nothing when all is
// in place (a few milliseconds). Plain JavaScript for Node 20: this is the first thing that runs in a fresh clone.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { binaries, RUNTIME_HELP, root, runtime } from './runtime.mjs'

const modules = join(root, 'node_modules')
const lock = join(root, 'package-lock.json')
const stamp = join(modules, '.galgo-installed')

export function setup({ log = (line) => console.error(line) } = {}) {
  install(log)
  if (runtime() === undefined) throw new Error(RUNTIME_HELP)
  buildNative(log)
  buildSimulator(log)
  linkCommand()
}

function install(log) {
  const wanted = createHash('sha256').update(readFileSync(lock)).digest('hex')
  if (installed(wanted)) return
  log('galgo: installing the packages of package-lock.json (npm ci) …')
  const started = Date.now()
  // npm replaces node_modules, the pinned node inside it included: npm itself must run on another one.
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((entry) => !entry.endsWith(join('node_modules', '.bin')))
    .join(delimiter)
  const env = { ...process.env, PATH: path }
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error']
  const result = spawnSync('npm', args, { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] })
  if (result.error) throw new Error(`cannot run npm: ${result.error.message}. Install npm, or put it on the PATH.`)
  if (result.status !== 0)
    throw new Error('npm ci failed (see above). Check the network and the npm registry settings.')
  writeFileSync(stamp, wanted)
  log(`galgo: installed in ${Math.round((Date.now() - started) / 1000)} s`)
}

/** Our own stamp names the lock file that was installed; an installation made by hand counts when it is newer. */
function installed(wanted) {
  if (!existsSync(modules)) return false
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return true
  const hidden = join(modules, '.package-lock.json')
  if (!existsSync(hidden) || statSync(hidden).mtimeMs < statSync(lock).mtimeMs) return false
  writeFileSync(stamp, wanted)
  return true
}

function buildNative(log) {
  const native = join(root, 'native')
  const { scripts = {} } = JSON.parse(readFileSync(join(native, 'package.json'), 'utf8'))
  if (scripts.build === undefined || !existsSync(join(native, 'build.mjs'))) return
  const sources = newest(join(native, 'src'), /\.(c|h|S)$/)
  if (sources === 0) return
  const built = newest(join(native, 'build'), /\.(node|json)$/)
  const tried = Math.max(sources, newest(native, /^(build\..*|package\.json)$/, false))
  if (built >= tried) return
  const env = { ...process.env, PATH: `${binaries}${delimiter}${process.env.PATH ?? ''}` }
  const result = spawnSync(scripts.build, { cwd: native, env, shell: true, encoding: 'utf8' })
  if (result.status === 0) {
    log('galgo: built the io_uring addon')
    return
  }
  const said = `${result.stderr ?? ''}${result.stdout ?? ''}`.split('\n').filter((line) => line.trim() !== '')
  const reason = said.find((line) => /error|cannot|not found/i.test(line)) ?? said[0] ?? 'unknown'
  log(
    `galgo: the io_uring addon was not built (${reason.trim()}); the portable driver is used. Cure: install a C compiler (cc).`,
  )
}

/** The page is no part of what a node needs: without it, a node says how to build it. */
function buildSimulator(log) {
  const rooms = ['consensus', 'simulator', 'storage', join('src', 'protocol'), join('src', 'state'), join('src', 'web')]
  const sources = Math.max(
    ...rooms.map((room) => newest(join(root, room), /\.(css|html|ts|tsx)$/)),
    newest(root, /^package-lock\.json$/, false),
  )
  if (sources === 0 || newest(join(root, 'build', 'simulator'), /./) >= sources) return
  const args = ['build', '--config', join('src', 'web', 'vite.config.ts'), '--logLevel', 'error']
  const env = { ...process.env, PATH: `${binaries}${delimiter}${process.env.PATH ?? ''}` }
  const result = spawnSync(join(binaries, 'vite'), args, { cwd: root, env, encoding: 'utf8' })
  if (result.status === 0) {
    log('galgo: built the page of the simulator')
    return
  }
  const said = (result.error?.message ?? result.stderr).split('\n').find((line) => line.trim() !== '')
  log(
    `galgo: the page of the simulator was not built (${said ?? 'unknown'}); nodes work without it. See: npm run build:simulator`,
  )
}

/** The newest modification time of matching files below a folder, 0 when there are none. */
export function newest(folder, pattern, recursive = true) {
  if (!existsSync(folder)) return 0
  let time = 0
  for (const entry of readdirSync(folder, { recursive, withFileTypes: true })) {
    if (!entry.isFile() || !pattern.test(entry.name)) continue
    time = Math.max(time, statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs)
  }
  return time
}

/** npm links the commands of dependencies, not the project's own: this makes `npx galgo` work in a checkout. */
function linkCommand() {
  const link = join(binaries, 'galgo')
  if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) return
  mkdirSync(binaries, { recursive: true })
  try {
    symlinkSync(join('..', '..', 'bin', 'galgo.js'), link)
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    setup()
  } catch (error) {
    console.error(`galgo: ${error.message}`)
    process.exitCode = 1
  }
}
