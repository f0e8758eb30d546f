// The command lines of the README run as they are printed; only the ports are those of a cluster made for the test. Its program is
// run from the package (test/package).
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { withCluster } from '../integration/processes.ts'
import { galgo } from './command-line.ts'

const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

function codeBlock(language: string, after: string): string {
  const begin = README.indexOf(`\`\`\`${language}\n`, README.indexOf(after))
  const end = README.indexOf('\n```', begin)
  assert.ok(begin > 0 && end > begin, `the README has no ${language || 'plain'} block after "${after}"`)
  return README.slice(begin + language.length + 4, end)
}

test('the command lines of the README run against three nodes', async () => {
  await withCluster(3, { frameSizeMax: 256 * 1024 }, async (cluster) => {
    await cluster.primary()

    const environment = { GALGO_SERVERS: cluster.servers.join(',') }
    const lines = codeBlock('', '## From the command line').split('\n')
    const endless = ['--follow', 'galgo sim', 'galgo chaos']
    for (const line of lines.filter((text) => !endless.some((part) => text.includes(part)))) {
      const input = line.startsWith('seq 1 1000 | ')
        ? Array.from({ length: 1000 }, (_, i) => `${i + 1}\n`).join('')
        : ''
      const argv = line.slice(line.indexOf('npx galgo ') + 'npx galgo '.length).split(' ')
      const { exitCode, out, err } = await galgo(argv, { input, environment })
      assert.equal(exitCode, 0, `${line}: ${err}`)
      if (argv[0] === 'consume') assert.equal(out.split('\n').length - 1, 10)
    }
  })
})

test('the README links to files that exist', () => {
  for (const [, target] of README.matchAll(/\]\((?!http)([^)#]+)\)/g)) {
    assert.doesNotThrow(() => readFileSync(new URL(`../../${target}`, import.meta.url)), `${target} is missing`)
  }
})
