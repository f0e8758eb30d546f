// The example of the README runs as it is printed; only the ports are those of a cluster made for the test.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runNode, withCluster } from '../integration/processes.ts'
import { galgo } from './command-line.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

function codeBlock(language: string, after: string): string {
  const begin = README.indexOf(`\`\`\`${language}\n`, README.indexOf(after))
  const end = README.indexOf('\n```', begin)
  assert.ok(begin > 0 && end > begin, `the README has no ${language || 'plain'} block after "${after}"`)
  return README.slice(begin + language.length + 4, end)
}

/** In the package's own directory, where `galgo` means this package. */
const run = (code: string): ReturnType<typeof runNode> =>
  runNode(['--input-type=module-typescript', '--eval', code], { cwd: ROOT })

test('the examples of the README run against three nodes', async (t) => {
  await withCluster(3, { frameSizeMax: 256 * 1024 }, async (cluster) => {
    await cluster.primary()

    await t.test('the program', async () => {
      let code = codeBlock('ts', '## From a program')
      cluster.servers.forEach((server, i) => {
        assert.ok(code.includes(`127.0.0.1:809${i}`))
        code = code.replace(`127.0.0.1:809${i}`, server)
      })
      const first = await run(code)
      assert.equal(first.code, 0, first.err)
      assert.equal(
        first.out,
        'partition 0, offset 0\npartition 0, offset 1\npartition 0, offset 2\n0 {"item":"apples"}\n1 {"item":"pears"}\n2 {"item":"plums"}\n',
      )
      // A second run goes on where the first one stopped.
      const second = await run(code)
      assert.equal(second.code, 0, second.err)
      assert.match(second.out, /^partition 0, offset 3\n[^]*\n5 \{"item":"plums"\}\n$/)
      assert.doesNotMatch(second.out, /^2 /m)
    })

    await t.test('the command lines', async () => {
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
})

test('the README links to files that exist', () => {
  for (const [, target] of README.matchAll(/\]\((?!http)([^)#]+)\)/g)) {
    assert.doesNotThrow(() => readFileSync(new URL(`../../${target}`, import.meta.url)), `${target} is missing`)
  }
})
