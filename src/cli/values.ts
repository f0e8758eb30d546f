// What may stand behind a flag: counts, sizes, durations, positions. Each parser answers a value or throws commander's
// InvalidArgumentError, which names the flag for the user.
import { InvalidArgumentError } from 'commander'

export function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
    return value
  }
}

/** The parser knows its `choices`, for completion. */
export function oneOf<const T extends string>(...choices: readonly T[]) {
  const parse = (text: string): T => {
    const choice = choices.find((known) => known === text)
    if (choice === undefined)
      throw new InvalidArgumentError(`It must be ${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}.`)
    return choice
  }
  return Object.assign(parse, { choices })
}

/** One of these numbers: of replicas, of nodes. */
export function oneOfNumbers(...choices: readonly number[]) {
  const word = oneOf(...choices.map(String))
  return Object.assign((text: string): number => Number(word(text)), { choices: word.choices })
}

/** Some of these words, with commas between them. */
export function listOf<const T extends string>(known: readonly T[]): (text: string) => T[] {
  return (text) =>
    text.split(',').map((part) => {
      const found = known.find((name) => name === part.trim())
      if (found === undefined) throw new InvalidArgumentError(`"${part}" is none of ${known.join(', ')}.`)
      return found
    })
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  kb: 1000,
  kib: 1024,
  m: 1024 ** 2,
  mb: 1000 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gb: 1000 ** 3,
  gib: 1024 ** 3,
}

/** `1024`, `1KiB`, `1k`, `2MB`. Bytes. */
export function bytes(min: number, max: number): (text: string) => number {
  return (text) => {
    const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
    const unit = SIZE_UNITS[(match?.[2] ?? '-').toLowerCase()]
    const value = match === null || unit === undefined ? Number.NaN : Math.round(Number(match[1]) * unit)
    if (!(value >= min && value <= max)) {
      throw new InvalidArgumentError(`It must be a size from ${min} to ${max} bytes, like 1024, 1KiB or 2MB.`)
    }
    return value
  }
}

const TIME_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  '': 1000,
}

/** `500ms`, `10s`, `10`, `2m`, `7d`. Milliseconds. */
export function duration(minMs: number, maxMs: number): (text: string) => number {
  return (text) => {
    const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)$/.exec(text.trim())
    const value = match === null ? Number.NaN : Number(match[1]) * (TIME_UNITS[match[2] as string] as number)
    if (!(value >= minMs && value <= maxMs)) {
      throw new InvalidArgumentError(
        `It must be a time from ${minMs / 1000} s to ${maxMs / 1000} s, like 500ms, 10s or 2m.`,
      )
    }
    return value
  }
}

/** One of these words, or what the parser makes of the text. */
export function either<const T extends string, U>(words: readonly T[], parse: (text: string) => U) {
  return (text: string): T | U => {
    const word = words.find((known) => known === text)
    if (word !== undefined) return word
    try {
      return parse(text)
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error
      throw new InvalidArgumentError(`${error.message} Or ${words.join(' or ')}.`)
    }
  }
}

/** Where a consumer begins. */
export type From = 'first' | 'last' | 'next' | { readonly offset: number } | { readonly time: Date }

/** `first`, `last`, `next`, `offset:42`, `time:2026-01-31T12:00:00Z`. */
export function from(text: string): From {
  if (text === 'first' || text === 'last' || text === 'next') return text
  const match = /^(offset|time):(.+)$/.exec(text)
  if (match?.[1] === 'offset' && /^\d{1,15}$/.test(match[2] as string)) return { offset: Number(match[2]) }
  if (match?.[1] === 'time') {
    const time = new Date(match[2] as string)
    if (!Number.isNaN(time.getTime())) return { time }
  }
  throw new InvalidArgumentError(
    'It must be first, last, next, offset:N or time:ISO, like offset:42 or time:2026-01-31T12:00:00Z.',
  )
}

/** `name=value`, repeatable. */
export function header(text: string, soFar: Readonly<Record<string, string>> = {}): Record<string, string> {
  const equals = text.indexOf('=')
  if (equals <= 0 || equals === text.length - 1) throw new InvalidArgumentError('It must look like NAME=VALUE.')
  return { ...soFar, [text.slice(0, equals)]: text.slice(equals + 1) }
}

/** `host:port,host:port`. Only the shape is checked here; the address parser of whoever connects says the rest. */
export function addressList(text: string): string[] {
  const addresses = text
    .split(',')
    .map((address) => address.trim())
    .filter((address) => address !== '')
  const wrong = addresses.find(
    (address) => !/^(\[[^\]]+\]|[^:[\]\s]+):\d{1,5}$/.test(address) || Number(address.split(':').at(-1)) > 65535,
  )
  if (addresses.length === 0 || wrong !== undefined) {
    throw new InvalidArgumentError(
      `It must be HOST:PORT, several with commas between them${wrong === undefined ? '' : `; "${wrong}" is not`}.`,
    )
  }
  return addresses
}
