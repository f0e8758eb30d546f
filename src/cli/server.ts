// The server's entries, loaded only by the commands that run nodes: they bring the addon, worker threads and the log.
import { CliError } from './errors.ts'

const OLDEST = { major: 22, minor: 18 }

export async function loadServer() {
  checkRuntime(process.versions.node)
  return await import('../server/index.ts')
}

/** Commands that only speak to a cluster run on older releases too. */
export function checkRuntime(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)) return
  throw new CliError(
    'runtime-too-old',
    `a node of Galgo needs Node.js ${OLDEST.major}.${OLDEST.minor} or newer, and this is ${version}; install one, and run the command with it`,
  )
}
