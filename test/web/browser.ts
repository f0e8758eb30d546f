// Chromium for tests of pages: Debian's, installed when it is missing and may be, started without anything of its own to do.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const INSTALL = 'apt-get install --yes --no-install-recommends chromium'
const INSTALL_MS_MAX = 300_000
/** One installation at a time: another test may need it at the same moment. */
const APT = '/var/lib/apt'
/** Without them it speaks to hosts of its own. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export async function startBrowser(): Promise<Browser> {
  return await chromium.launch({ executablePath: findChromium(), args: FLAGS })
}

function findChromium(): string {
  const there = (): string | undefined => PLACES.find((place) => existsSync(place))
  const found = there()
  if (found !== undefined) return found
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    console.log(`installing Chromium for the tests of pages: ${INSTALL}`)
    const install = `test -x ${PLACES[0]} || { apt-get update --quiet=2 && ${INSTALL} --quiet=2; }`
    const { status, stderr } = spawnSync('flock', [APT, 'sh', '-c', install], {
      encoding: 'utf8',
      timeout: INSTALL_MS_MAX,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
    const installed = there()
    if (installed !== undefined) return installed
    throw new Error(`Chromium could not be installed (${INSTALL} ended with ${status}): ${stderr}`)
  }
  throw new Error(`The tests of pages need Chromium in ${PLACES[0]}. Install it as root: ${INSTALL}`)
}
