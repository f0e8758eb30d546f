// Errors of the driver's synchronous calls, and the system's error numbers.
import { constants } from 'node:os'
import { getSystemErrorName } from 'node:util'

export const errno = constants.errno

/** A system call failed. `code` as in Node ('EADDRINUSE'), `errno` positive, `syscall` what was asked. */
export class IoError extends Error {
  override readonly name = 'IoError'
  readonly code: string
  readonly errno: number
  readonly syscall: string

  constructor(number: number, syscall: string, what: string, options?: ErrorOptions) {
    const code = errorName(number)
    super(`${syscall} ${what}: ${code}`, options)
    this.code = code
    this.errno = number
    this.syscall = syscall
  }
}

function errorName(number: number): string {
  try {
    return getSystemErrorName(-number)
  } catch {
    return `errno ${number}`
  }
}

/** The negative errno of an error from Node; `otherwise` when it names none. */
export function negativeErrno(error: unknown, otherwise: number): number {
  const { code, errors } = error as { code?: unknown; errors?: readonly unknown[] }
  if (typeof code === 'string') {
    const known = (errno as Record<string, number | undefined>)[code]
    if (known !== undefined) return -known
    // Names that do not resolve.
    if (code === 'ENOTFOUND' || code.startsWith('EAI_')) return -errno.EHOSTUNREACH
  }
  return errors !== undefined && errors.length > 0 ? negativeErrno(errors[errors.length - 1], otherwise) : otherwise
}
