// Compiles the checkout into build/package, which is what `npm pack` publishes: JavaScript for Node 20 with declarations of the
// client, the page of the simulator, and the addon as it was built here. `npm pack` runs this by itself; nothing is committed.
// Plain JavaScript for Node 20.
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { arch, pid, platform } from 'node:process'
import { pathToFileURL } from 'node:url'
import { binaries, root } from './runtime.mjs'
import { newest, setup } from './setup.mjs'

const target = join(root, 'build', 'package')
const manifest = join(root, 'package.json')

/** The folder of the built package; builds it when something is newer. */
export function buildPackage({ log = (line) => console.error(line) } = {}) {
  if (newest(target, /^package\.json$/, false) >= newestSource()) return target
  const started = Date.now()
  // Another process may be using the last one: a whole folder takes its place.
  const draft = join(root, 'build', `package.${pid}.tmp`)
  rmSync(draft, { recursive: true, force: true })
  compile('tsconfig.json', draft)
  compile('tsconfig.client.json', draft)
  resolvePaths(draft)
  copyFiles(draft)
  const old = `${draft}.old`
  if (existsSync(target)) renameSync(target, old)
  renameSync(draft, target)
  rmSync(old, { recursive: true, force: true })
  log(`galgo: built the package in ${((Date.now() - started) / 1000).toFixed(1)} s`)
  return target
}

function newestSource() {
  const rooms = ['chaos', 'consensus', join('native', 'src'), 'simulator', 'src', 'storage', join('scripts', 'package')]
  const built = [join('native', 'build'), join('build', 'simulator')]
  return Math.max(
    ...[...rooms, ...built].map((room) => newest(join(root, room), /./)),
    newest(root, /^(package|tsconfig)\.json$/, false),
    newest(join(root, 'scripts'), /^build-package\.mjs$/, false),
  )
}

function compile(project, draft) {
  const args = ['--project', join('scripts', 'package', project), '--outDir', draft]
  const { status, error, stdout } = spawnSync(join(binaries, 'tsc'), args, { cwd: root, encoding: 'utf8' })
  if (error) throw new Error(`cannot run the TypeScript compiler: ${error.message}. Run \`npm ci\`.`)
  if (status !== 0) throw new Error(`the package does not compile (scripts/package/${project}):\n${stdout.trimEnd()}`)
}

/**
 * What the package carries inside: the workspace, which no registry has, and the one dependency whose own dependencies would be
 * compiled during an installation, though nothing here needs them.
 */
const INSIDE = {
  'io-uring-napi': join('native', 'src', 'index.js'),
  msgpackr: join('vendor', 'msgpackr', 'index.js'),
}
const VENDORED = ['index.js', 'iterators.js', 'pack.js', 'unpack.js', 'LICENSE']

/** What the compiler leaves as it was: files that are named as data, and what is inside. */
function resolvePaths(draft) {
  for (const name of readdirSync(draft, { recursive: true })) {
    if (!name.endsWith('.js')) continue
    const file = join(draft, name)
    let code = readFileSync(file, 'utf8').replaceAll(/(new URL\('[^']+)\.ts(', import\.meta\.url\))/g, '$1.js$2')
    for (const [inside, place] of Object.entries(INSIDE)) {
      const path = relative(dirname(file), join(draft, place))
      code = code.replaceAll(`from '${inside}'`, `from '${path.startsWith('.') ? path : `./${path}`}'`)
    }
    const left = /'(\.[^'\n]*\.ts)'/.exec(code)
    if (left !== null) throw new Error(`${name} names ${left[1]}, which is not in the package`)
    writeFileSync(file, code)
  }
}

function copyFiles(draft) {
  const native = join(root, 'native')
  for (const name of readdirSync(join(native, 'src')).filter((file) => /\.(c|h|inc)$/.test(file)))
    copyFileSync(join(native, 'src', name), join(draft, 'native', 'src', name))
  copyFileSync(join(native, 'build.mjs'), join(draft, 'native', 'build.mjs'))
  mkdirSync(join(draft, 'vendor', 'msgpackr'), { recursive: true })
  for (const name of VENDORED)
    copyFileSync(join(root, 'node_modules', 'msgpackr', name), join(draft, 'vendor', 'msgpackr', name))
  const addon = join(native, 'build', 'io_uring.node')
  if (existsSync(addon)) {
    const prebuilt = join(draft, 'native', 'prebuilds', `${platform}-${arch}`)
    mkdirSync(prebuilt, { recursive: true })
    copyFileSync(addon, join(prebuilt, 'io_uring.node'))
  }
  cpSync(join(root, 'build', 'simulator'), join(draft, 'build', 'simulator'), { recursive: true })
  // Last: its time says that the rest is complete.
  const { name, version, license, type } = JSON.parse(readFileSync(manifest, 'utf8'))
  writeFileSync(join(draft, 'package.json'), `${JSON.stringify({ name, version, license, type, private: true })}\n`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    setup()
    buildPackage()
  } catch (error) {
    console.error(`galgo: ${error.message}`)
    process.exitCode = 1
  }
}
