// JSON with the numbers of the REST API: 64 and 128 bits, which travel as plain JSON numbers. What a number of JavaScript holds
// exactly is one; whatever is larger is a bigint.

export type Json = string | number | bigint | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/** The largest u64: never, unlimited. */
export const ALL_ONES = 0xffff_ffff_ffff_ffffn

/** A number, or `all ones` for Infinity. */
export function orAllOnes(value: number): Json {
  return value === Number.POSITIVE_INFINITY ? ALL_ONES : value
}

export function jsonText(value: Json): string {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(jsonText).join(',')}]`
  return `{${Object.entries(value)
    .map(([key, item]) => `${JSON.stringify(key)}:${jsonText(item)}`)
    .join(',')}}`
}

interface SourceContext {
  readonly source?: string
}

/** Throws a SyntaxError, or a RangeError when it is nested too deeply. */
export function parseJson(text: string): unknown {
  // Looking at every value again is worth it only where one can be large.
  if (!/\d{16}/.test(text)) return JSON.parse(text)
  return JSON.parse(text, (_key, value: unknown, context?: SourceContext) => {
    const source = context?.source
    const large = typeof value === 'number' && !Number.isSafeInteger(value)
    return large && source !== undefined && /^\d{1,40}$/.test(source) ? BigInt(source) : value
  })
}

const UNITS: readonly (readonly [string, bigint])[] = [
  ['TiB', 1n << 40n],
  ['TB', 1_000_000_000_000n],
  ['GiB', 1n << 30n],
  ['GB', 1_000_000_000n],
  ['MiB', 1n << 20n],
  ['MB', 1_000_000n],
  ['KiB', 1n << 10n],
  ['KB', 1000n],
]

/** `1.5 MiB`, `1234.567 KB`: the largest unit in which it is exact with at most three decimals. */
export function sizeText(bytes: number): string {
  const thousandfold = BigInt(bytes) * 1000n
  for (const [unit, size] of UNITS) {
    if (BigInt(bytes) >= size && thousandfold % size === 0n) return `${Number(thousandfold / size) / 1000} ${unit}`
  }
  return `${bytes} B`
}
