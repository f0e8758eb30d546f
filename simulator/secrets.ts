// Passwords in a simulation: hashes that are quick, and come a while later, as real ones do.
import { utf8Encode } from '../src/protocol/bytes.ts'
import { xxh32 } from '../src/protocol/xxh32.ts'
import type { AccessClaims } from '../src/state/access-tokens.ts'
import type { Secrets } from '../src/state/secrets.ts'
import type { SeededRandom } from './random.ts'
import type { Scheduler } from './scheduler.ts'

/** Microseconds. */
const WORK = [5000, 40_000] as const

export class SimSecrets implements Secrets {
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  /** Does the process that asked still live? */
  readonly #lives: () => boolean

  constructor(scheduler: Scheduler, random: SeededRandom, lives: () => boolean) {
    this.#scheduler = scheduler
    this.#random = random
    this.#lives = lives
  }

  hash(password: string, done: (hash: string | null) => void): boolean {
    const salt = this.#random.below(2 ** 32)
    return this.#later(() => done(`$simulated$${salt}$${shadow(password, salt)}`))
  }

  verify(password: string, hash: string | null, done: (right: boolean | null) => void): boolean {
    const [, , salt, value] = (hash ?? '').split('$')
    const right = hash !== null && value === String(shadow(password, Number(salt)))
    return this.#later(() => done(right))
  }

  #later(action: () => void): boolean {
    this.#scheduler.after(this.#random.between(...WORK), () => {
      if (this.#lives()) action()
    })
    return true
  }

  remembers(): boolean {
    return false
  }

  newToken(): string {
    return `simulated-${this.#random.below(2 ** 32)}-${this.#random.below(2 ** 32)}`
  }

  digest(token: string): Uint8Array {
    const bytes = utf8Encode(token)
    const digest = new Uint8Array(32)
    const view = new DataView(digest.buffer)
    for (let i = 0; i < 8; i++) view.setUint32(4 * i, xxh32(bytes, 0, bytes.length, i), true)
    return digest
  }

  signAccess(claims: AccessClaims, hash: string, done: (token: string | null) => void): void {
    const text = JSON.stringify(claims)
    this.#later(() => done(`access ${shadow(text, shadow(hash, 0))} ${text}`))
  }

  readAccess(token: string): AccessClaims | null {
    const [kind, , ...text] = token.split(' ')
    return kind === 'access' ? JSON.parse(text.join(' ')) : null
  }

  verifyAccess(token: string, hash: string, done: (right: boolean) => void): void {
    const [, signature, ...text] = token.split(' ')
    this.#later(() => done(signature === String(shadow(text.join(' '), shadow(hash, 0)))))
  }
}

/** The number of the login that an access token belongs to. */
export function accessLoginOf(token: string): string {
  return (JSON.parse(token.split(' ').slice(2).join(' ')) as AccessClaims).login
}

function shadow(password: string, salt: number): number {
  const bytes = utf8Encode(password)
  return xxh32(bytes, 0, bytes.length, salt)
}
