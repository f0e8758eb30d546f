// Defects of consumer groups. Seeds with members of groups find them, the two that take rare moments a test of the group alone.
import { type Mutant, mutant } from './mutant.ts'

const GROUP = 'src/state/consumer-group.ts'
const WATCH = 'src/state/group-watch.ts'

export const GROUP_MUTANTS: readonly Mutant[] = [
  mutant('a member may store in what belongs to another one', 'state/consumer-group', [
    GROUP,
    '!this.#removed.includes(session) : share.owner === this.member(session)?.id',
    '!this.#removed.includes(session) : this.member(session) !== null',
  ]),
  mutant('who was removed for its silence may store', 'state/consumer-group: who was removed', [
    GROUP,
    '!this.#removed.includes(session) : share.owner === this.member(session)?.id',
    'true : share.owner === this.member(session)?.id',
  ]),
  mutant('a partition is handed over before its owner has let go of it', 40, [
    GROUP,
    'return { owner, heir: target, granted, since: before.heir === null ? timestamp : before.since }',
    'return { owner: target, heir: null, granted: op, since: 0 }',
  ]),
  mutant('a partition goes to its heir before its owner has stored what it got', { first: 10, of: 40 }, [
    WATCH,
    'if (waited < this.#times.revocationMs && !this.#hasStored(group, share, partition)) return',
    '',
  ]),
  mutant('a new primary takes it that nobody polled before it led', { first: 10, of: 100 }, [
    WATCH,
    'if (granted <= this.#ledFrom && stored < this.#shownOf(group, partition)) return false',
    '',
  ]),
  mutant('an owner goes on polling what it is to let go of', { first: 20, of: 40 }, [
    GROUP,
    'if (share === undefined || share.heir !== null || share.owner',
    'if (share === undefined || share.owner',
  ]),
  mutant('partitions change hands in the same generation', 20, [GROUP, 'this.#generation += 1', '']),
  mutant('members are silent for ever', 40, [
    WATCH,
    'if (now - at < (here ? this.#times.silenceMs : this.#times.absenceMs)) continue',
    'continue',
  ]),
  mutant('a poll goes on behind the message after the stored one', { first: 12, of: 20 }, [
    'src/state/polls.ts',
    'stored === undefined ? 0 : stored + 1',
    'stored === undefined ? 0 : stored + 2',
  ]),
].map((one) => ({ ...one, members: 4, faults: 'crash,partition,pause' }))
