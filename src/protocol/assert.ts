// Assertions stay on in production: a broken invariant stops the process before it can harm data.

export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

export function assert(condition: unknown, what = 'assertion failed'): asserts condition {
  if (!condition) throw new AssertionError(what)
}

export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`)
}
