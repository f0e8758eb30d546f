// Defects of topics that drop repetitions. Seeds that ask for all operations find them.
import { type Mutant, mutant } from './mutant.ts'

const RECENT = 'src/state/recent-ids.ts'

export const DEDUPLICATION_MUTANTS: readonly Mutant[] = [
  mutant('ids of messages are not kept in checkpoints', { first: 3, of: 20 }, [
    'src/state/catalog.ts',
    'p.recent === null ? row : [...row, p.recent.image()]',
    'row',
  ]),
  mutant('one id more than the window is remembered', 10, [
    RECENT,
    'this.#offsets.size >= this.#window',
    'this.#offsets.size > this.#window',
  ]),
  mutant('a message that is twice in a batch is stored twice', 10, [
    RECENT,
    'known !== undefined || here.has(id)',
    'known !== undefined',
  ]),
  mutant('of messages without an id only the first of a batch is stored', 20, [
    RECENT,
    'if (id !== NO_ID) here.add(id)',
    'here.add(id)',
  ]),
  mutant('a repeated batch is answered with the end of the log', 10, [
    RECENT,
    'if (known !== undefined && fresh.length + repeated === 0) firstOffset = known',
    '',
  ]),
  mutant('what is new in a batch keeps its places in that batch', { first: 3, of: 10 }, [
    RECENT,
    'putU32(batch, to + FrameAt.offsetDelta, i)',
    '',
  ]),
  mutant('ids are noted at the place that is answered', { first: 7, of: 20 }, [
    'src/state/state-machine.ts',
    'recent.note(fresh, log.append(appended, 0, appended.length, timestamp))',
    'log.append(appended, 0, appended.length, timestamp)\n    recent.note(fresh, firstOffset)',
  ]),
].map((one) => ({ ...one, operations: true, faults: 'crash,partition,pause' }))
