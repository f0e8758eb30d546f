// Completion, by the shells themselves: bash always, zsh and fish where they are.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { temporaryDirectory } from '../integration/processes.ts'
import { galgo } from './command-line.ts'

const { path: folder, remove } = temporaryDirectory()
after(remove)

async function scriptOf(shell: string): Promise<string> {
  const { exitCode, out, err } = await galgo(['completion', shell])
  assert.equal(exitCode, 0, err)
  const file = join(folder, `galgo.${shell}`)
  writeFileSync(file, out)
  return file
}

/** What a shell offers for each of these command lines; the last word is the one that is being written. */
type Complete = (lines: readonly string[]) => string[][]

function run(program: string, args: readonly string[]): string {
  const { stdout, stderr, status, error } = spawnSync(program, args, { encoding: 'utf8', cwd: folder, timeout: 30_000 })
  assert.equal(status, 0, `${program}: ${error?.message ?? stderr}`)
  assert.equal(stderr, '')
  return stdout
}

/** As bash does it: the function that is registered for the command, with the words and their number. */
const bash =
  (file: string): Complete =>
  (lines) => {
    const calls = lines.map((line) => {
      // Where bash breaks words, `=` is one.
      const words = line.split(/ |(=)/).filter((word) => word !== undefined)
      const list = words.map((word) => `'${word}'`).join(' ')
      return `COMP_WORDS=(${list}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); "$complete"; echo "\${COMPREPLY[*]}"`
    })
    const registered = 'complete=$(complete -p galgo); complete=${complete#complete -F }; complete=${complete% galgo}'
    const out = run('bash', ['--norc', '-c', [`source ${file}`, registered, ...calls].join('\n')])
    return out
      .split('\n')
      .slice(0, -1)
      .map((line) => line.split(' ').filter((word) => word !== ''))
  }

const fish =
  (file: string): Complete =>
  (lines) =>
    lines.map((line) =>
      run('fish', ['--no-config', '-c', `source ${file}; complete -C '${line}'`])
        .split('\n')
        .slice(0, -1)
        .map((row) => row.split('\t')[0] as string),
    )

/** The names and flags that the function hands to zsh. */
const zsh =
  (file: string): Complete =>
  (lines) => {
    const stubs = [
      'compdef() { }',
      `source ${file}`,
      '_describe() { local list=${@[-1]}; print -l -- ${${(P)list}%%:*} }',
      'compadd() { shift; print -l -- $@ }',
      '_files() { print -l -- * }',
    ]
    return lines.map((line) => {
      const words = line
        .split(' ')
        .map((word) => `'${word}'`)
        .join(' ')
      const out = run('zsh', ['-f', '-c', [...stubs, `words=(${words}); CURRENT=$#words; _galgo`].join('\n')])
      const typed = line.split(' ').at(-1) as string
      return out.split('\n').filter((word) => word !== '' && word.startsWith(typed))
    })
  }

const installed = (shell: string): boolean => spawnSync(shell, ['--version']).status === 0

for (const [shell, complete] of [
  ['bash', bash],
  ['fish', fish],
  ['zsh', zsh],
] as const) {
  const skip = shell !== 'bash' && !installed(shell) ? `${shell} is not installed` : false
  test(`${shell} completes commands, flags and what follows them`, { skip }, async () => {
    const file = await scriptOf(shell)
    const offers = complete(file)([
      'galgo st',
      'galgo stream ',
      'galgo stream list --any',
      'galgo stream list --format ',
      'galgo topic create shop orders --com',
      'galgo topic create shop orders --compression g',
      'galgo chaos --mi',
      'galgo sim --sh',
      'galgo explore --op',
      'galgo consume shop orders --gr',
      'galgo completion ',
      'galgo stream get ',
      `galgo start --config galgo.${shell[0]}`,
    ])
    const sorted = offers.map((words) => words.toSorted())
    assert.deepEqual(sorted, [
      ['start', 'stats', 'status', 'stream'],
      ['create', 'delete', 'get', 'help', 'list', 'purge', 'rename'],
      ['--any-node'],
      ['json', 'text'],
      ['--compression'],
      ['gzip'],
      ['--minutes'],
      ['--shrink'],
      ['--operations'],
      ['--group'],
      ['bash', 'fish', 'zsh'],
      [],
      [`galgo.${shell}`],
    ])
  })
}

test('bash knows every command and every flag that its help names', async () => {
  const complete = bash(await scriptOf('bash'))
  const lines: string[] = []
  const expected: string[][] = []
  const look = async (path: string[]): Promise<void> => {
    const { out } = await galgo([...path.slice(1), '--help'])
    const flags = [...out.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map((match) => match[1] as string)
    lines.push([...path, '--'].join(' '))
    expected.push(flags.toSorted())
    const listed =
      path.length === 1 ? out.slice(0, out.indexOf('\nTry:')) : (/^Commands:\n((?: {2}.*\n)+)/m.exec(out)?.[1] ?? '')
    const names = [...listed.matchAll(/^ {2}([a-z]+)\b/gm)].map((match) => match[1] as string)
    for (const name of names) if (name !== 'help') await look([...path, name])
  }
  await look(['galgo'])
  assert.ok(lines.length > 60, String(lines.length))
  const offered = complete(lines).map((flags) => flags.toSorted())
  lines.forEach((line, i) => assert.deepEqual(new Set(offered[i]), new Set(expected[i]), line))
})

test('a value may stand behind an equals sign', async () => {
  const complete = bash(await scriptOf('bash'))
  assert.deepEqual(complete(['galgo stream list --format=j', 'galgo stream list --format=']), [
    ['json'],
    ['text', 'json'],
  ])
})

test('another shell is wrong usage', async () => {
  const { exitCode, err } = await galgo(['completion', 'nu'])
  assert.equal(exitCode, 2)
  assert.match(err, /Allowed choices are bash, zsh, fish\.\nSee: galgo completion --help/)
})
