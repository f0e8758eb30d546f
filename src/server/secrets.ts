// Passwords and tokens with this runtime's cryptography. A password is hashed with argon2id, or scrypt where that is missing, on
// libuv's threads: two at a time, so that guesses cannot take the processor away from the data path, nor all the memory.
//
//   $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>      both in base64 without padding; what is stored says how it is verified,
//   $scrypt$ln=15,r=8,p=1$<salt>$<hash>               so each node verifies what any other has made
import * as crypto from 'node:crypto'
import { createHash, createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import type { AccessClaims } from '../state/access-tokens.ts'
import type { Secrets } from '../state/secrets.ts'
import { readAccess, signAccess, verifyAccess } from './access-jwt.ts'

const RUNNING_MAX = 2
const WAITING_MAX = 256
/** Passwords that were right, by a key of this process alone. */
const REMEMBERED_MAX = 4096
const SALT_SIZE = 16
const HASH_SIZE = 32

interface Parameters {
  readonly algorithm: 'argon2id' | 'scrypt'
  /** KiB of argon2id, or the logarithm of scrypt's N. */
  readonly memory: number
  /** Passes of argon2id, or scrypt's r. */
  readonly passes: number
  readonly parallelism: number
  readonly salt: Uint8Array
  readonly hash: Uint8Array
}

const ARGON2ID = { algorithm: 'argon2id', memory: 19_456, passes: 2, parallelism: 1 } as const
const SCRYPT = { algorithm: 'scrypt', memory: 15, passes: 8, parallelism: 1 } as const
/** Stored parameters beyond these are not computed: they would cost too much. */
const ARGON2ID_MEMORY_MAX = 256 * 1024
const SCRYPT_MEMORY_MAX = 18
const PASSES_MAX = 16

type Derived = (error: unknown, key: Uint8Array | null) => void

export class SystemSecrets implements Secrets {
  readonly #fresh: Omit<Parameters, 'salt' | 'hash'>
  readonly #waiting: (() => void)[] = []
  #running = 0
  readonly #memoryKey = randomBytes(32)
  readonly #remembered = new Set<string>()

  /** Without an algorithm: the best one that this runtime has. */
  constructor(algorithm: 'argon2id' | 'scrypt' = typeof crypto.argon2 === 'function' ? 'argon2id' : 'scrypt') {
    this.#fresh = algorithm === 'argon2id' ? ARGON2ID : SCRYPT
  }

  hash(password: string, done: (hash: string | null) => void): boolean {
    const salt = randomBytes(SALT_SIZE)
    const parameters = { ...this.#fresh, salt, hash: new Uint8Array(HASH_SIZE) }
    return this.#derive(password, parameters, (error, key) =>
      done(error !== null || key === null ? null : format({ ...parameters, hash: key })),
    )
  }

  verify(password: string, hash: string | null, done: (right: boolean | null) => void): boolean {
    const stored = hash === null ? null : parse(hash)
    // Of a user that is not there, as much work.
    const parameters = stored ?? { ...this.#fresh, salt: randomBytes(SALT_SIZE), hash: randomBytes(HASH_SIZE) }
    return this.#derive(password, parameters, (error, key) => {
      if (error !== null || key === null) return done(null)
      const right = timingSafeEqual(key, parameters.hash) && stored !== null
      if (right) this.#remember(password, hash as string)
      done(right)
    })
  }

  remembers(password: string, hash: string): boolean {
    return this.#remembered.has(this.#memoryOf(password, hash))
  }

  #remember(password: string, hash: string): void {
    const memory = this.#memoryOf(password, hash)
    this.#remembered.delete(memory)
    if (this.#remembered.size >= REMEMBERED_MAX) {
      const [oldest] = this.#remembered
      this.#remembered.delete(oldest as string)
    }
    this.#remembered.add(memory)
  }

  /** Means something only together with the key, which never leaves this process. */
  #memoryOf(password: string, hash: string): string {
    return createHmac('sha256', this.#memoryKey).update(hash).update('\0').update(password).digest('base64')
  }

  newToken(): string {
    return `galgo_${randomBytes(32).toString('base64url')}`
  }

  digest(token: string): Uint8Array {
    return new Uint8Array(createHash('sha256').update(token).digest())
  }

  signAccess(claims: AccessClaims, hash: string, done: (token: string | null) => void): void {
    signAccess(claims, hash).then(done, () => done(null))
  }

  readAccess(token: string): AccessClaims | null {
    return readAccess(token)
  }

  verifyAccess(token: string, hash: string, done: (right: boolean) => void): void {
    verifyAccess(token, hash).then(
      () => done(true),
      () => done(false),
    )
  }

  #derive(password: string, parameters: Parameters, done: Derived): boolean {
    if (this.#running >= RUNNING_MAX && this.#waiting.length >= WAITING_MAX) return false
    this.#waiting.push(() =>
      derive(password, parameters, (error, key) => {
        this.#running -= 1
        done(error, key)
        this.#next()
      }),
    )
    this.#next()
    return true
  }

  /** What waits is never begun: the node stops. */
  drop(): void {
    this.#waiting.length = 0
  }

  #next(): void {
    if (this.#running >= RUNNING_MAX) return
    const begin = this.#waiting.shift()
    if (begin === undefined) return
    this.#running += 1
    begin()
  }
}

function derive(password: string, parameters: Parameters, done: Derived): void {
  const { algorithm, memory, passes, parallelism, salt, hash } = parameters
  const finish = (error: Error | null, key: Uint8Array): void => done(error, error === null ? key : null)
  try {
    if (algorithm === 'scrypt') {
      const cost = 2 ** memory
      const options = { N: cost, r: passes, p: parallelism, maxmem: 256 * cost * passes }
      scrypt(password, salt, hash.length, options, finish)
      return
    }
    crypto.argon2(
      'argon2id',
      { message: password, nonce: salt, parallelism, tagLength: hash.length, memory, passes },
      finish,
    )
  } catch (error) {
    // A runtime without argon2, a stored parameter that it does not take: never in the middle of the caller's work.
    queueMicrotask(() => done(error, null))
  }
}

function format({ algorithm, memory, passes, parallelism, salt, hash }: Parameters): string {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replaceAll('=', '')
  const head =
    algorithm === 'argon2id'
      ? `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}`
      : `$scrypt$ln=${memory},r=${passes},p=${parallelism}`
  return `${head}$${text(salt)}$${text(hash)}`
}

const STORED =
  /^\$(?:argon2id\$v=19\$m=|scrypt\$ln=)(\d{1,6}),[tr]=(\d{1,2}),p=(\d)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/

/** null: nothing that this release has written. */
function parse(text: string): Parameters | null {
  const match = STORED.exec(text)
  if (match === null) return null
  const algorithm = text.startsWith('$argon2id') ? 'argon2id' : 'scrypt'
  const parameters = {
    algorithm,
    memory: Number(match[1]),
    passes: Number(match[2]),
    parallelism: Number(match[3]),
    salt: Buffer.from(match[4] as string, 'base64'),
    hash: Buffer.from(match[5] as string, 'base64'),
  } as const
  const memoryMax = algorithm === 'argon2id' ? ARGON2ID_MEMORY_MAX : SCRYPT_MEMORY_MAX
  const bearable =
    parameters.memory <= memoryMax && parameters.passes <= PASSES_MAX && parameters.hash.length === HASH_SIZE
  return bearable ? parameters : null
}
