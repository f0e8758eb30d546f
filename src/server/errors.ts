// What can go wrong around a node that its operator can do something about. Each message is one sentence that says what,
// where, and the next step; the command line prints it as it is and exits with a non-zero code. Anything else that is
// thrown is a defect and keeps its stack trace.

export type ServerErrorCode =
  | 'bad-config'
  | 'bad-certificate'
  | 'port-in-use'
  | 'address-unavailable'
  | 'directory-locked'
  | 'directory-not-empty'
  | 'directory-unusable'
  | 'not-formatted'
  | 'already-formatted'
  | 'foreign-cluster'
  | 'foreign-replica'
  | 'other-release'
  | 'disk-full'
  | 'disk-failed'
  | 'data-missing'
  | 'superblock-damaged'
  | 'node-stopped'
  | 'replaced'

export class ServerError extends Error {
  override readonly name = 'ServerError'
  readonly code: ServerErrorCode

  constructor(code: ServerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The `code` of a system error ('EADDRINUSE', ...), or '' when it has none. */
export function systemCode(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** `setting` names the flag and the key with which the operator chooses another address. */
export function listenError(error: unknown, address: string, purpose: string, setting: string): Error {
  switch (systemCode(error)) {
    case 'EADDRINUSE':
      return new ServerError(
        'port-in-use',
        `cannot listen for ${purpose} on ${address}: another process uses this port; stop it or choose another address with ${setting}`,
        { cause: error },
      )
    case 'EACCES':
      return new ServerError(
        'address-unavailable',
        `cannot listen for ${purpose} on ${address}: not permitted (ports below 1024 need privileges); choose another address with ${setting}`,
        { cause: error },
      )
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'EAI_AGAIN':
    case 'EHOSTUNREACH': // a name that the drivers could not resolve
    case 'EINVAL': // a link-local address without its interface
    case 'ENOTFOUND':
      return new ServerError(
        'address-unavailable',
        `cannot listen for ${purpose} on ${address}: this machine has no such address; choose another with ${setting}`,
        { cause: error },
      )
    default:
      return error instanceof Error ? error : new Error(String(error))
  }
}

/** What a file-system error means for the data directory at `path`. */
export function directoryError(error: unknown, path: string): Error {
  switch (systemCode(error)) {
    case 'EACCES':
    case 'EPERM':
      return new ServerError(
        'directory-unusable',
        `cannot use the data directory ${path}: permission denied; give this user read and write access to it or choose another with --data`,
        { cause: error },
      )
    case 'EROFS':
      return new ServerError(
        'directory-unusable',
        `cannot use the data directory ${path}: its file system is read-only; choose another with --data`,
        { cause: error },
      )
    case 'ENOENT':
      return new ServerError(
        'directory-unusable',
        `cannot use the data directory ${path}: its file system makes no directory there; choose another with --data`,
        { cause: error },
      )
    case 'ENOTDIR':
    case 'EEXIST':
      return new ServerError(
        'directory-unusable',
        `cannot use the data directory ${path}: a file of this name or of one of its parents is in the way; choose another with --data`,
        { cause: error },
      )
    case 'ENOSPC':
    case 'EDQUOT':
      return diskFull(path, error)
    default:
      return error instanceof Error ? error : new Error(String(error))
  }
}

export function diskFull(path: string, cause?: unknown): ServerError {
  return new ServerError(
    'disk-full',
    `the disk of ${path} is full; free some space on it or move the data directory to a larger one, then start again`,
    { cause },
  )
}
