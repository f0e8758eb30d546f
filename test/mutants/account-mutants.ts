// Defects of users, rights, passwords and tokens. Seeds in which somebody looks after a user find them.
import { type Mutant, mutant } from './mutant.ts'

const IDENTITY = 'src/state/identity.ts'

export const ACCOUNT_MUTANTS: readonly Mutant[] = [
  mutant('the former password stays good', 20, [IDENTITY, 'user.hash = next', '']),
  mutant('a deleted token lets in', { first: 10, of: 40 }, [
    IDENTITY,
    'this.#byDigest.delete(token.key)\n  }\n\n  /** Tokens that',
    '}\n\n  /** Tokens that',
  ]),
  mutant('a user that is switched off may log in', 20, [
    'src/state/logins.ts',
    "if (user.status === 'active') return",
    'if (user.id >= 0) return',
  ]),
  mutant('a new primary lets in by what it has not executed yet', 'state/consistency', [
    'src/state/logins.ts',
    'const early = !reader && !replica.caughtUp',
    'const early = reader && !replica.caughtUp',
  ]),
  mutant('an access token whose login has ended lets in', 'state/access-tokens: the end of a login', [
    'src/state/access-tokens.ts',
    'if (identity.hasEnded(user, claims)) return false',
    '',
  ]),
  mutant('logins that have ended are not kept in checkpoints', 'state/access-tokens', [
    IDENTITY,
    'loginsFrom === 0 && endedLogins.size === 0 ? row : [...row, loginsFrom, [...endedLogins]]',
    'row',
  ]),
  mutant('who may do nothing may do everything', { first: 8, of: 20 }, [
    'src/state/authorize.ts',
    'identity.allows(user, rule.action, stream, topic) ? Status.ok : Status.unauthorized',
    'Status.ok',
  ]),
  mutant('rights are not kept in checkpoints', 40, [
    IDENTITY,
    'permissions === null ? null : readPermissions(new Reader(permissions))',
    'null',
  ]),
].map((one) => ({ ...one, operations: true, readers: 1, faults: 'crash,partition,pause' }))
