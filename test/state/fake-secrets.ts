// Secrets of tests: hashes that can be read, made at once or when told to.
import { createHash } from 'node:crypto'
import type { AccessClaims } from '../../src/state/access-tokens.ts'
import type { Secrets } from '../../src/state/secrets.ts'

export class FakeSecrets implements Secrets {
  /** What was asked waits for `release`. */
  hold = false
  /** No more is taken. */
  full = false
  readonly known = new Set<string>()
  hashes = 0
  verifications = 0
  #salt = 0
  #tokens = 0
  readonly #held: (() => void)[] = []
  readonly #after: (action: () => void) => void

  /** `after` runs an action a little later. */
  constructor(after: (action: () => void) => void) {
    this.#after = after
  }

  hash(password: string, done: (hash: string | null) => void): boolean {
    if (this.full) return false
    this.hashes += 1
    // As in life, the same password has another hash each time.
    this.#salt += 1
    const hash = `$test$${this.#salt}$${shadow(password)}`
    this.#later(() => done(hash))
    return true
  }

  verify(password: string, hash: string | null, done: (right: boolean | null) => void): boolean {
    if (this.full) return false
    this.verifications += 1
    const right = hash !== null && hash.endsWith(`$${shadow(password)}`)
    this.#later(() => done(right))
    return true
  }

  remembers(password: string, hash: string): boolean {
    return this.known.has(`${hash} ${password}`)
  }

  newToken(): string {
    this.#tokens += 1
    return `token-${this.#tokens}-that-nobody-guesses`
  }

  digest(token: string): Uint8Array {
    return new Uint8Array(createHash('sha256').update(token).digest())
  }

  signAccess(claims: AccessClaims, hash: string, done: (token: string | null) => void): void {
    const text = JSON.stringify(claims)
    this.#later(() => done(`access ${shadow(`${hash} ${text}`)} ${text}`))
  }

  readAccess(token: string): AccessClaims | null {
    const [kind, , ...text] = token.split(' ')
    return kind === 'access' ? JSON.parse(text.join(' ')) : null
  }

  verifyAccess(token: string, hash: string, done: (right: boolean) => void): void {
    const [, signature, ...text] = token.split(' ')
    this.#later(() => done(signature === shadow(`${hash} ${text.join(' ')}`)))
  }

  #later(action: () => void): void {
    if (this.hold) this.#held.push(action)
    else this.#after(action)
  }

  /** What waits now; what is asked then waits again. */
  step(): void {
    for (const action of this.#held.splice(0)) action()
  }

  release(): void {
    this.hold = false
    for (const action of this.#held.splice(0)) action()
  }
}

function shadow(password: string): string {
  return createHash('sha256').update(password).digest('hex').slice(0, 16)
}
