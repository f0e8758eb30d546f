// What a shell needs to know to complete a command line: read off the tree of commands, so that it knows what the commands know.
import type { Command, Option } from 'commander'

/** What comes after a flag: nothing, one of these words, the name of a file, or something that nobody can guess. */
type Value = 'none' | 'file' | 'any' | readonly string[]

interface Word {
  readonly name: string
  readonly about: string
}

interface Flag extends Word {
  /** `-o`. */
  readonly short: string | null
  readonly value: Value
}

/** A command, as it is written so far: `galgo stream create`. */
export interface Place {
  readonly path: string
  /** Commands, or what an argument may be. */
  readonly words: readonly Word[]
  readonly flags: readonly Flag[]
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** `elsewhere`: commands that bring their flags themselves, by name. */
export function placesOf(root: Command, elsewhere: ReadonlyMap<string, Command>): Place[] {
  const walk = (command: Command, path: string): Place[] => {
    const flagged = elsewhere.get(path.slice(root.name().length + 1)) ?? command
    const words = command.commands.map((child) => ({ name: child.name(), about: child.description() }))
    const choices = command.registeredArguments.flatMap((argument) => argument.argChoices ?? [])
    const help = words.length > 0 ? [{ name: 'help', about: 'print help for a command' }] : []
    const place: Place = {
      path,
      words: [...words, ...choices.map((name) => ({ name, about: '' })), ...help],
      flags: [
        ...flagged.options.flatMap(flagOf),
        { name: '--help', short: '-h', about: 'print help', value: 'none' as const },
      ],
    }
    return [place, ...command.commands.flatMap((child) => walk(child, `${path} ${child.name()}`))]
  }
  return walk(root, root.name())
}

function flagOf(option: Option): Flag[] {
  const { long, short, description, hidden } = option
  if (hidden || long === undefined || long === null) return []
  return [{ name: long, short: short ?? null, about: firstSentence(description), value: valueOf(option) }]
}

function valueOf({ flags, required, optional, argChoices, parseArg }: Option): Value {
  if (!required && !optional) return 'none'
  const known = argChoices ?? (parseArg !== undefined && 'choices' in parseArg ? parseArg.choices : undefined)
  if (Array.isArray(known)) return known as string[]
  return /<(file|dir)/.test(flags) ? 'file' : 'any'
}

function firstSentence(text: string): string {
  return (text.split(/[;\n]/)[0] as string).trim()
}

export function script(shell: Shell, places: readonly Place[]): string {
  if (shell === 'bash') return bash(places)
  return shell === 'zsh' ? zsh(places) : fish(places)
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** Patterns of a `case`: every place below the first. */
function deeper(places: readonly Place[]): string {
  return places
    .slice(1)
    .map(({ path }) => quoted(path))
    .join(' | ')
}

/** Patterns of a `case`, by what follows: `galgo stream list --format`. */
function valuePatterns(places: readonly Place[]): Map<string, { readonly value: Value; readonly patterns: string[] }> {
  const rows = new Map<string, { readonly value: Value; readonly patterns: string[] }>()
  for (const { path, flags } of places) {
    for (const { name, short, value } of flags) {
      if (value === 'none') continue
      const key = typeof value === 'string' ? value : value.join(' ')
      const row = rows.get(key) ?? { value, patterns: [] }
      rows.set(key, row)
      for (const flag of short === null ? [name] : [name, short]) row.patterns.push(quoted(`${path} ${flag}`))
    }
  }
  return rows
}

function bash(places: readonly Place[]): string {
  const values = [...valuePatterns(places).values()].map(({ value, patterns }) => {
    const action =
      value === 'file'
        ? 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur"))'
        : typeof value === 'string'
          ? ':'
          : `COMPREPLY=($(compgen -W ${quoted(value.join(' '))} -- "$cur"))`
    return `    ${patterns.join(' | ')})\n      ${action}\n      return ;;`
  })
  const words = places.map(({ path, words: own, flags }) => {
    const names = own.map(({ name }) => name).join(' ')
    return `    ${quoted(path)}) words=${quoted(names)} flags=${quoted(flags.map(({ name }) => name).join(' '))} ;;`
  })
  return `# Completion of galgo for bash: source <(galgo completion bash)
_galgo() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} place=galgo words= flags= i
  COMPREPLY=()
  # --flag=value comes in three words.
  if [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}; fi
  if [[ $cur == = ]]; then cur=; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$place \${COMP_WORDS[i]}" in
      ${deeper(places)}) place="$place \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$place $prev" in
${values.join('\n')}
  esac
  case "$place" in
${words.join('\n')}
  esac
  if [[ $cur == -* ]]; then words=$flags; fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _galgo galgo
`
}

function zsh(places: readonly Place[]): string {
  const described = (words: readonly Word[]): string =>
    words.map(({ name, about }) => quoted(`${name}:${about}`)).join(' ')
  const values = [...valuePatterns(places).values()].map(({ value, patterns }) => {
    const action =
      value === 'file' ? '_files' : typeof value === 'string' ? ':' : `compadd -- ${value.map(quoted).join(' ')}`
    return `    ${patterns.join(' | ')})\n      ${action}\n      return ;;`
  })
  const words = places.map(
    ({ path, words: own, flags }) =>
      `    ${quoted(path)})\n      names=(${described(own)})\n      flags=(${described(flags)}) ;;`,
  )
  return `#compdef galgo
# Completion of galgo for zsh: source <(galgo completion zsh)
_galgo() {
  local place=galgo i
  local -a names flags
  for ((i = 2; i < CURRENT; i++)); do
    case "$place \${words[i]}" in
      ${deeper(places)}) place="$place \${words[i]}" ;;
    esac
  done
  case "$place \${words[CURRENT-1]}" in
${values.join('\n')}
  esac
  case "$place" in
${words.join('\n')}
  esac
  if [[ \${words[CURRENT]} == -* ]]; then
    _describe -o flag flags
  else
    _describe command names
  fi
}
if [[ \${funcstack[1]} == _galgo ]]; then
  _galgo "$@"
else
  compdef _galgo galgo
fi
`
}

function fish(places: readonly Place[]): string {
  const text = (value: string): string => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  const lines = places.flatMap(({ path, words, flags }) => {
    const at = `complete -c galgo -n ${text(`__galgo_at ${path}`)}`
    return [
      ...words.map(({ name, about }) => `${at} -a ${text(name)} -d ${text(about)}`),
      ...flags.map(({ name, short, about, value }) => {
        const letter = short === null ? '' : ` -s ${short.slice(1)}`
        const follows =
          value === 'none'
            ? ''
            : value === 'file'
              ? ' -r -F'
              : ` -x${typeof value === 'string' ? '' : ` -a ${text(value.join(' '))}`}`
        return `${at}${letter} -l ${name.slice(2)}${follows} -d ${text(about)}`
      }),
    ]
  })
  return `# Completion of galgo for fish: galgo completion fish | source
function __galgo_at
  set -l place galgo
  for word in (commandline -opc)[2..-1]
    switch "$place $word"
      case ${places
        .slice(1)
        .map(({ path }) => text(path))
        .join(' ')}
        set place "$place $word"
    end
  end
  test "$place" = "$argv"
end
complete -c galgo -f
${lines.join('\n')}
`
}
