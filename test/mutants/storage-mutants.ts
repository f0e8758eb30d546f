// Defects of what is on disk: the journal, the superblock, checkpoints, segments and their repair.
import { JOURNAL, type Mutant, mutant, REPLICA, SUPERBLOCK } from './mutant.ts'

const MACHINE = 'src/state/state-machine.ts'
const REPAIR = 'consensus/segment-repair.ts'
const REBUILD = 'consensus/checkpoint-rebuild.ts'

export const STORAGE_MUTANTS: readonly Mutant[] = [
  mutant('a prepare counts before its redundant header is durable', 20, [
    JOURNAL,
    'this.#writeSector(slot, headerOf(message), () => this.#finish(write))',
    'this.#writeSector(slot, headerOf(message), () => {})\n        this.#finish(write)',
  ]),
  mutant('one sync for a prepare and its header', 'power-loss: (powerOff), at every instant of produces and', [
    JOURNAL,
    '      this.#sync(() => {\n        ;(this.#prepareOnDisk[slot] as Header).set(headerOf(message))\n        this.#hasPrepareOnDisk[slot] = 1\n        this.#writeSector(slot, headerOf(message), () => this.#finish(write))\n      })',
    '      ;(this.#prepareOnDisk[slot] as Header).set(headerOf(message))\n      this.#hasPrepareOnDisk[slot] = 1\n      this.#writeSector(slot, headerOf(message), () => this.#finish(write))',
  ]),
  mutant('a slot is blanked before its own prepare is repaired', 'storage/journal-recovery', [
    JOURNAL,
    '      headerOp(onDisk) > this.#checkpointOp &&\n      !sameHeader(onDisk, headerOf(write.message))',
    '      headerOp(onDisk) > this.#checkpointOp',
  ]),
  mutant('an op is written over another one without blanking its header', 'power-loss: a later view writes over', [
    JOURNAL,
    '    if (mustBlank) {',
    '    if (mustBlank && slot < 0) {',
  ]),
  mutant('two prepares are written into one slot at the same time', 'storage/journal', [
    JOURNAL,
    '    if (now) {\n      queued?.message.unref()',
    '    if (now && slot < 0) {\n      queued?.message.unref()',
  ]),
  mutant('a corrupt prepare is taken for a torn one', 'view-change: decide nothing', [
    JOURNAL,
    '        if (named && !this.#solo) this.#load(slot, h, true)\n        this.#markFaulty(slot, named && !this.#solo)\n        recovery.faulty += 1',
    '        recovery.blank += named ? 1 : 0',
  ]),
  {
    ...mutant('a sync that failed counts as done', { first: 46, of: 60 }, [
      JOURNAL,
      "      if (result !== 'ok') return this.#fault('journal sync', result)\n      if (this.#failed) return\n",
      '      if (this.#failed) return\n',
    ]),
    faults: 'disk-error,power',
  },
  mutant('a sync that failed is tried again', 'lying-disks: a sync fails', [
    JOURNAL,
    "      if (result !== 'ok') return this.#fault('journal sync', result)\n",
    "      if (result !== 'ok') {\n        this.#afterSync.unshift(...covered)\n        return this.#startSync()\n      }\n",
  ]),
  mutant('the place of a prepare is not checked', 'storage/journal-recovery', [
    JOURNAL,
    '    if (this.slotOf(headerOp(header)) !== slot) return false\n',
    '',
  ]),
  mutant('what is being written to the superblock counts as durable', 20, [
    SUPERBLOCK,
    '    assert(this.#state !== null)\n    return this.#state',
    '    assert(this.#staging !== null)\n    return this.#staging',
  ]),
  mutant('the superblock is not read back', 'lying-disks: it is read back', [
    SUPERBLOCK,
    "done(same ? 'ok' : 'failed')",
    "done(same || copy >= 0 ? 'ok' : 'failed')",
  ]),
  mutant('the copies of the superblock are on their way at the same time', 'storage/superblock', [
    SUPERBLOCK,
    '      this.#disk.sync(SUPERBLOCK_FILE, (synced) => {',
    "      const sync = (then: (result: DiskResult) => void): void =>\n        copy < SUPERBLOCK_COPIES - 1 ? this.#disk.list('', () => then('ok')) : this.#disk.sync(SUPERBLOCK_FILE, then)\n      sync((synced) => {",
  ]),
  mutant('a checkpoint of one’s own is opened whatever its digest', 'state-transfer: a damaged checkpoint of its own', [
    'storage/checkpoint-store.ts',
    'if (!equal128(sum, 0, digest, 0) || !equal128(words, 0, digest, 0)) return null',
    '',
  ]),
  mutant('a node alone with a damaged checkpoint does not start', 'checkpoint-rebuild: alone: the newest checkpoint', [
    REPLICA,
    '        this.#rebuildCheckpoint(done)\n',
    "        this.#loseState('', done)\n",
  ]),
  mutant('a checkpoint is made again whatever comes out', 'checkpoint-rebuild: alone: what does not come out', [
    REBUILD,
    '    if (!equal128(checkpoints.digestOf(state.checkpointOp, snapshot), 0, state.checkpointDigest, 0))',
    '    if (snapshot.length === 0)',
  ]),
  mutant('a checkpoint is made again from any op of the slots', 'checkpoint-rebuild: alone: an op in the place', [
    REBUILD,
    'if (message === null || equal128(message.words, At.checksum, checksum, 0)) return done(message)',
    'if (message === null || checksum.length === 4) return done(message)',
  ]),
  mutant(
    'sessions are not part of what a checkpoint is made from',
    'checkpoint-rebuild: alone: the newest checkpoint',
    [REBUILD, '    if (previous !== null) this.#execution.restoreClients(previous)\n', ''],
  ),
  mutant('what is executed once more is written once more', 'checkpoint-rebuild: with segments', [
    'storage/segment-store.ts',
    '    if (this.rehearsal) {',
    '    if (this.rehearsal && chunk.written > chunk.wanted) {',
  ]),
  mutant('a checkpoint that can be read counts as durable', 'checkpoint-rebuild: before it counts', [
    'consensus/replica.ts',
    'this.#checkpoints.sync(checkpointOp, (synced) => {',
    "const read = (then: (result: string) => void): void => then('ok')\n        read((synced) => {",
  ]),
  mutant('what is executed once more is removed afterwards', 'checkpoint-rebuild: with segments', [
    MACHINE,
    '    if (this.#rehearsal) return\n',
    '',
  ]),
  mutant('the checkpoint before is forgotten with the next version of the superblock', 'storage/superblock', [
    SUPERBLOCK,
    '...(advances && { previousCheckpoint: { op, size, digest } })',
    'previousCheckpoint: { op: advances ? op : 0, size, digest }',
  ]),
  mutant('the tails of segments are not flushed for a checkpoint', { first: 18, of: 20 }, [
    'storage/segment-store.ts',
    '        if (chunk.written >= until) continue\n        pending',
    '        if (chunk.written >= until || !chunk.closed) continue\n        pending',
  ]),
  mutant(
    'partitions are taken in turn by a counter of the process',
    20,
    [
      MACHINE,
      '      id = topic.nextPartition\n      topic.nextPartition = (id + 1) % partitions.length',
      '      id = turn++ % partitions.length',
    ],
    [MACHINE, 'const refusals = new Map', 'let turn = 0\nconst refusals = new Map'],
  ),
  mutant(
    'what is too old is judged by a clock of the replica',
    20,
    [
      MACHINE,
      '!isDue(place.topic, oldest, timestamp)) break',
      '!isDue(place.topic, oldest, timestamp - (drift++ % 3) * 1e9)) break',
    ],
    [MACHINE, 'const refusals = new Map', 'let drift = 0\nconst refusals = new Map'],
  ),
  mutant('files are removed before the checkpoint is durable that does not refer to them', 20, [
    MACHINE,
    '    const bytes = encode(image)\n    this.#garbage = []\n    return bytes',
    '    const bytes = encode(image)\n    this.#garbage = []\n    this.#removeCondemned()\n    return bytes',
  ]),
  mutant(
    'the segment that is appended to is removed as well',
    20,
    [
      'storage/partition.ts',
      'if (segment === undefined || next === undefined) return null',
      'if (segment === undefined) return null',
    ],
    [
      'storage/partition.ts',
      'return { firstOffset, nextOffset: next.firstOffset, lastTimestamp, bytes }',
      'return { firstOffset, nextOffset: next?.firstOffset ?? this.nextOffset, lastTimestamp, bytes }',
    ],
    ['storage/partition.ts', "assert(this.#segments.length > 1, 'the segment that is appended to stays')", ''],
    [
      'storage/partition.ts',
      'this.messages -= (segment.next as Segment).firstOffset - segment.firstOffset',
      'this.messages -= (segment.next?.firstOffset ?? this.nextOffset) - segment.firstOffset',
    ],
  ),
  mutant(
    'stored records are given out without a look',
    'simulator/fault-matrix/segment-matrix',
    [
      'storage/partition.ts',
      'if (bad || ((verify || doubted) && !this.holds(bytes, here, here + length))) {',
      'if (bad) {',
    ],
    [
      'storage/partition.ts',
      'if ((verify || this.#doubted) && !this.#partition.holds(bytes, here, here + length)) return FAILED',
      '',
    ],
  ),
  mutant('the scrubber stands still while something is damaged', 'simulator/fault-matrix/segment-matrix', [
    REPLICA,
    '|| this.#segmentRepair.busy) return',
    '|| this.#segmentRepair.damaged > 0) return',
  ]),
  mutant('the same replica is asked for a segment again and again', 'simulator/fault-matrix/segment-matrix', [
    REPAIR,
    'this.#options.somePeer(this.#asked.get(name) ?? -1)',
    'this.#options.somePeer(this.#fetcher.peer)',
  ]),
  mutant('a file closes the chunk that it has just taken from itself', 'storage/segment-chunks', [
    'storage/segment-store.ts',
    'if (last !== undefined && last !== chunk) this.#close(last)',
    'if (last !== undefined) this.#close(last)',
  ]),
  mutant(
    'what was fetched for another checkpoint is the own one’s',
    'consensus/state-sync',
    ['consensus/state-sync.ts', 'for (const { name } of missing) this.#kept.delete(name)', ''],
    ['consensus/state-sync.ts', 'kept: (name) => this.#own.get(name)', 'kept: (name) => this.#kept.get(name)'],
  ),
]
