// Access tokens as JWTs: HMAC-SHA256 under a key that is made of what verifies the user's password (state/access-tokens.ts).
import { createHmac } from 'node:crypto'
import { decode, sign, verify } from 'hono/jwt'
import type { AccessClaims } from '../state/access-tokens.ts'

const ALGORITHM = 'HS256'
/** Times are looked at by the clock of the cluster, not here. */
const CHECKS = { alg: ALGORITHM, exp: false, nbf: false, iat: false } as const

/** As they stand in the payload: user, login, and the personal access token. */
const SUBJECT = /^(0|[1-9]\d{0,9})$/
const LOGIN = /^[0-9a-f]{24}$/
const THROUGH = /^[0-9a-f]{16}$/

/** Of no use for anything else. */
function keyOf(hash: string): string {
  return createHmac('sha256', hash).update('galgo access token').digest('base64')
}

export async function signAccess({ user, login, op, through, expiresAt }: AccessClaims, hash: string): Promise<string> {
  const payload = { sub: String(user), sid: login, op, ...(through === null ? {} : { pat: through }), exp: expiresAt }
  return await sign(payload, keyOf(hash), ALGORITHM)
}

/** What it says, whoever made it; null: no access token. */
export function readAccess(token: string): AccessClaims | null {
  if (token.split('.').length !== 3) return null
  try {
    const { header, payload } = decode(token)
    return header?.alg === ALGORITHM ? claimsOf(payload) : null
  } catch {
    return null
  }
}

/** By hand: every replica thread would load a library of shapes at its start, for these five fields. */
function claimsOf({ sub, sid, op, pat, exp }: Readonly<Record<string, unknown>>): AccessClaims | null {
  if (!isText(sub, SUBJECT) || !isText(sid, LOGIN) || (pat !== undefined && !isText(pat, THROUGH))) return null
  if (!isCount(op) || !isCount(exp)) return null
  return { user: Number(sub), login: sid, op, through: pat ?? null, expiresAt: exp }
}

function isText(value: unknown, shape: RegExp): value is string {
  return typeof value === 'string' && shape.test(value)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Rejects when it was signed with another hash, or in another way. */
export async function verifyAccess(token: string, hash: string): Promise<void> {
  await verify(token, keyOf(hash), CHECKS)
}
