// Access tokens as JWTs: what is believed, and that they fit where they have to go.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sign } from 'hono/jwt'
import { readAccess, signAccess, verifyAccess } from '../../src/server/access-jwt.ts'

const CLAIMS = { user: 7, login: 'ab'.repeat(12), op: 5, through: null, expiresAt: 1_800_000_000 }

test('says what it was told, and was signed with that hash alone', async () => {
  for (const claims of [CLAIMS, { ...CLAIMS, through: 'cd'.repeat(8) }]) {
    const token = await signAccess(claims, '$h$1')
    assert.deepEqual(readAccess(token), claims)
    await verifyAccess(token, '$h$1')
    await assert.rejects(verifyAccess(token, '$h$2'))
  }
})

test('the largest one fits into a login', async () => {
  const largest = { user: 0xffff_ffff, login: 'f'.repeat(24), op: Number.MAX_SAFE_INTEGER, through: 'f'.repeat(16) }
  const token = await signAccess({ ...largest, expiresAt: 99_999_999_999 }, '$h$1')
  assert.ok(token.length <= 255, String(token.length))
})

test('what is signed in another way, or says something else, is none', async () => {
  const payload = { sub: '7', sid: CLAIMS.login, op: 5, exp: 1_800_000_000 }
  const key = 'whatever'
  assert.notEqual(readAccess(await sign(payload, key, 'HS256')), null)
  assert.equal(readAccess(await sign(payload, key, 'HS512')), null)
  for (const wrong of [
    { ...payload, sub: 7 },
    { ...payload, sub: '07' },
    { ...payload, sub: '-1' },
    { ...payload, sid: 'x' },
    { ...payload, op: -1 },
    { ...payload, op: '5' },
    { ...payload, exp: 1.5 },
    { ...payload, exp: undefined as unknown as number },
    { ...payload, pat: 'x' },
    { sub: '7' },
  ])
    assert.equal(readAccess(await sign(wrong, key, 'HS256')), null, JSON.stringify(wrong))
  const part = (text: string): string => Buffer.from(text).toString('base64url')
  for (const text of [
    '',
    'a.b',
    'a.b.c',
    'a.b.c.d',
    `${part('null')}.${part('null')}.x`,
    `${part('[]')}.${part('[]')}.x`,
    `${part('{')}.${part('{')}.x`,
    `${'['.repeat(100)}.${part('['.repeat(20_000))}.x`,
  ])
    assert.equal(readAccess(text), null)
  const unsigned = `${part('{"alg":"none","typ":"JWT"}')}.${part(JSON.stringify(payload))}.`
  assert.equal(readAccess(unsigned), null)
  await assert.rejects(verifyAccess(unsigned, '$h$1'))
})
