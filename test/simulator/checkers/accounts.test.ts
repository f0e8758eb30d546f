// The checker of accounts is checked: who may be let in, who must be, and what is not certain.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AccountChecker, type Key, type UserFacts } from '../../../simulator/checkers/accounts.ts'
import { Violation } from '../../../simulator/violation.ts'
import { EvictionReason, Status } from '../../../src/protocol/errors.ts'

const USER: UserFacts = {
  name: 'account',
  password: 'right',
  active: true,
  mayManage: false,
  tokens: new Map([['token', 'secret']]),
  access: new Map([['shown', null]]),
}

const key = (kind: Key['kind'], secret: string): Key => ({ kind, secret })
const PASSWORD = key('password', 'right')
const TOKEN = key('token', 'secret')
const ACCESS = key('access', 'shown')

function checker(user: UserFacts | null = USER): AccountChecker {
  const made = new AccountChecker('account')
  made.is(user)
  return made
}

const violates = (what: RegExp, action: () => void): void =>
  assert.throws(action, (error) => error instanceof Violation && what.test(error.message))

test('the right password and tokens that are there let in, others do not', () => {
  const verdicts = (user: UserFacts | null): string[] => [PASSWORD, TOKEN, ACCESS].map((k) => checker(user).verdict(k))
  assert.deepEqual(verdicts(USER), ['in', 'in', 'open'])
  assert.deepEqual(verdicts({ ...USER, active: false }), ['out', 'out', 'out'])
  assert.deepEqual(verdicts(null), ['out', 'out', 'out'])
  assert.deepEqual(verdicts({ ...USER, password: 'other', tokens: new Map(), access: new Map() }), [
    'out',
    'out',
    'out',
  ])
})

test('who is let in and must not be, and who is sent away and must not be, is found', () => {
  const changed = checker({ ...USER, password: 'other' })
  violates(/let in by a password that is good no more/, () => changed.admitted(PASSWORD))
  changed.admitted(TOKEN)
  assert.equal(changed.evicted(PASSWORD, EvictionReason.invalidCredentials), true)
  violates(/sent away for reason 10 with a token that is good/, () =>
    changed.evicted(TOKEN, EvictionReason.invalidToken),
  )
  violates(/sent away for reason 11/, () => changed.evicted(TOKEN, EvictionReason.userInactive))
  assert.equal(changed.evicted(TOKEN, EvictionReason.noSession), false)
  assert.equal(changed.evicted(ACCESS, EvictionReason.invalidToken), true)
})

test('while a request has no answer nothing is certain', () => {
  const made = checker()
  made.asking()
  assert.deepEqual(
    [PASSWORD, key('password', 'new')].map((k) => made.verdict(k)),
    ['open', 'open'],
  )
  made.change({ password: 'new' })
  assert.deepEqual(
    [PASSWORD, key('password', 'new')].map((k) => made.verdict(k)),
    ['out', 'in'],
  )
  made.asking()
  made.unchanged()
  assert.equal(made.certain, true)
})

test('an answer is one of those that the facts allow', () => {
  checker().answered('manage a stream', Status.unauthorized, [Status.unauthorized])
  violates(/was told 0 when it asked to manage a stream, not 41/, () =>
    checker().answered('manage a stream', Status.ok, [Status.unauthorized]),
  )
})
