// Passwords and tokens with the runtime's own cryptography.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SystemSecrets } from '../../src/server/secrets.ts'

function hash(secrets: SystemSecrets, password: string): Promise<string | null> {
  return new Promise((resolve) => assert.ok(secrets.hash(password, resolve)))
}

function verify(secrets: SystemSecrets, password: string, stored: string | null): Promise<boolean | null> {
  return new Promise((resolve) => assert.ok(secrets.verify(password, stored, resolve)))
}

for (const algorithm of ['argon2id', 'scrypt'] as const) {
  test(`${algorithm}: the right password and no other, with a salt of its own each time`, async () => {
    const secrets = new SystemSecrets(algorithm)
    const first = await hash(secrets, 'påssword')
    const second = await hash(secrets, 'påssword')
    assert.ok(first !== null && second !== null)
    assert.ok(first.startsWith(`$${algorithm}$`) && first.length <= 255)
    assert.notEqual(first, second)
    assert.equal(await verify(secrets, 'påssword', first), true)
    assert.equal(await verify(secrets, 'passwort', first), false)
    assert.equal(await verify(secrets, '', first), false)
  })
}

test('what one node has hashed, every other verifies, by the parameters that are stored', async () => {
  const [argon2id, scrypt] = [new SystemSecrets('argon2id'), new SystemSecrets('scrypt')]
  const stored = await hash(scrypt, 'secret')
  assert.equal(await verify(argon2id, 'secret', stored), true)
  const other = await hash(argon2id, 'secret')
  assert.equal(await verify(scrypt, 'secret', other), true)
})

test('argon2id: a vector that another implementation made', async () => {
  // From the reference implementation's command line: argon2 "somesalt" -id -t 2 -m 16 -p 1 -l 32, password "password".
  const stored = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'
  assert.equal(await verify(new SystemSecrets(), 'password', stored), true)
  assert.equal(await verify(new SystemSecrets(), 'passwore', stored), false)
})

test('a hash that is none, or asks for more than it may cost, verifies nothing', async () => {
  const secrets = new SystemSecrets()
  const salt = 'c29tZXNhbHQ'
  const key = 'CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'
  for (const stored of [
    null,
    '',
    'plain text',
    `$argon2id$v=19$m=999999,t=2,p=1$${salt}$${key}`,
    `$argon2id$v=19$m=19456,t=99,p=1$${salt}$${key}`,
    `$argon2id$v=19$m=19456,t=2,p=1$${salt}$AAAA`,
    `$argon2i$v=19$m=19456,t=2,p=1$${salt}$${key}`,
  ])
    assert.equal(await verify(secrets, 'password', stored), false)
})

test('a few at a time, the rest in order; too many are told so', async () => {
  const secrets = new SystemSecrets('scrypt')
  const done: number[] = []
  const stored = await hash(secrets, 'secret')
  const all: Promise<unknown>[] = []
  let taken = 0
  for (let i = 0; i < 6; i++) {
    all.push(
      verify(secrets, i % 2 === 0 ? 'secret' : 'wrong', stored).then((right) => {
        assert.equal(right, i % 2 === 0)
        done.push(i)
      }),
    )
  }
  while (taken < 1000 && secrets.verify('x', null, () => {})) taken += 1
  assert.ok(taken < 300, `${taken} wait`)
  secrets.drop()
  await Promise.all(all.slice(0, 2))
  assert.deepEqual(new Set(done), new Set([0, 1]))
})

test('a password that was right is known again at once, as long as its hash is the same', async () => {
  const secrets = new SystemSecrets('scrypt')
  const stored = (await hash(secrets, 'secret')) as string
  assert.equal(secrets.remembers('secret', stored), false)
  await verify(secrets, 'wrong', stored)
  assert.equal(secrets.remembers('wrong', stored), false)
  await verify(secrets, 'secret', stored)
  assert.equal(secrets.remembers('secret', stored), true)
  assert.equal(secrets.remembers('secret', (await hash(secrets, 'secret')) as string), false)
  assert.equal(new SystemSecrets('scrypt').remembers('secret', stored), false)
})

test('tokens: long, different, and found by a digest of 32 bytes', () => {
  const secrets = new SystemSecrets()
  const tokens = new Set(Array.from({ length: 100 }, () => secrets.newToken()))
  assert.equal(tokens.size, 100)
  for (const token of tokens) {
    assert.match(token, /^galgo_[\w-]{43}$/)
    assert.equal(secrets.digest(token).length, 32)
  }
})
