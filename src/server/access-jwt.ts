// Access tokens as JWTs: HMAC-SHA256 under a key that is made of what verifies the user's password (state/access-tokens.ts).
import { createHmac } from 'node:crypto'
import { decode, sign, verify } from 'hono/jwt'
import { z } from 'zod'
import type { AccessClaims } from '../state/access-tokens.ts'

const ALGORITHM = 'HS256'
/** Times are looked at by the clock of the cluster, not here. */
const CHECKS = { alg: ALGORITHM, exp: false, nbf: false, iat: false } as const

const payloadShape = z.object({
  /** User. */
  sub: z.string().regex(/^(0|[1-9]\d{0,9})$/),
  /** Login. */
  sid: z.string().regex(/^[0-9a-f]{24}$/),
  op: z.int().min(0),
  /** Personal access token. */
  pat: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .optional(),
  exp: z.int().min(0),
})

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
    const says = payloadShape.safeParse(payload)
    if (header?.alg !== ALGORITHM || !says.success) return null
    const { sub, sid, op, pat, exp } = says.data
    return { user: Number(sub), login: sid, op, through: pat ?? null, expiresAt: exp }
  } catch {
    return null
  }
}

/** Rejects when it was signed with another hash, or in another way. */
export async function verifyAccess(token: string, hash: string): Promise<void> {
  await verify(token, keyOf(hash), CHECKS)
}
