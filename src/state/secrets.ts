// Where passwords and tokens become what may be kept. Verifying a password is slow on purpose: it happens beside the data path,
// a few at a time, and calls back later, never during the call.
import type { AccessClaims } from './access-tokens.ts'

export interface Secrets {
  /**
   * What verifies this password later, with its salt and all parameters; null when it could not be made. False: as many as may
   * wait do so already, and nothing will be called.
   */
  hash(password: string, done: (hash: string | null) => void): boolean
  /** Is it the password of this hash? Of nobody (null) it takes as long to say no. null and false as above. */
  verify(password: string, hash: string | null, done: (right: boolean | null) => void): boolean
  /** Was it found right a while ago? At once: clients that come back after a failover do not wait for each other. */
  remembers(password: string, hash: string): boolean
  /** A new one that nobody can guess. */
  newToken(): string
  /** What finds a token again and does not tell it: 32 bytes. */
  digest(token: string): Uint8Array
  /** An access token that says this, signed with what verifies its user's password; later. null: it could not be made. */
  signAccess(claims: AccessClaims, hash: string, done: (token: string | null) => void): void
  /** What an access token says, whoever made it; null: it is none. */
  readAccess(token: string): AccessClaims | null
  /** Was it signed with this hash? Later. It says whatever it says: look at that too. */
  verifyAccess(token: string, hash: string, done: (right: boolean) => void): void
}
