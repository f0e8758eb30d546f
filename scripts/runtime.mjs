// Which node runs Galgo, and how a launcher stands in for it. Plain JavaScript for Node 20: this runs before anything is installed.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
export const binaries = join(root, 'node_modules', '.bin')

/** Where node keeps what it made of the source, so that it starts in half of the time; it does without where it may not write. */
export const compileCache = process.env.NODE_COMPILE_CACHE ?? join(root, 'build', 'compile-cache')

/** Node 22.18 is the first that runs TypeScript without a flag. */
export function stripsTypes(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 22 || (major === 22 && minor >= 18)
}

/** The pinned runtime when it is installed, else this one when it can run TypeScript, else undefined. */
export function runtime() {
  const pinned = join(binaries, 'node')
  if (existsSync(pinned)) return pinned
  return stripsTypes() ? process.execPath : undefined
}

export const RUNTIME_HELP = `Galgo needs Node.js 22.18 or newer and found ${process.versions.node}. Run \`npm start\` or \`npm ci\` in ${root} to install the pinned one, or update Node.js.`

/**
 * Runs a program in place of this process: its output, its signals and its exit code are ours.
 * A terminal sends Ctrl-C to both by itself, so SIGINT is passed on only where there is no terminal.
 */
export function become(program, args, options = {}) {
  const env = { ...process.env, NODE_COMPILE_CACHE: compileCache }
  const child = spawn(program, args, { stdio: 'inherit', env, ...options })
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']) {
    process.on(signal, () => {
      if (!(terminal && (signal === 'SIGINT' || signal === 'SIGQUIT'))) child.kill(signal)
    })
  }
  child.on('error', (error) => {
    console.error(`cannot run ${program}: ${error.message}`)
    process.exitCode = 127
  })
  child.on('exit', (code, signal) => {
    if (signal === null) {
      process.exit(code ?? 1)
    } else {
      // Die of the same signal, so that a shell or supervisor sees what happened.
      process.removeAllListeners(signal)
      process.kill(process.pid, signal)
    }
  })
}
