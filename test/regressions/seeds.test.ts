// Seeds that once failed, with what it was. A change of the workload makes other runs of them; what can be said as a scenario
// is kept in test/simulator/scenarios as well. Where nothing else is said they know no calm spells and no storms, as there were none.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FAULTS, FIRST_FAULTS, KEPT_FAULTS } from '../../simulator/faults/fault.ts'
import type { SwarmShape } from '../../simulator/shape.ts'
import { runSeed } from '../../simulator/swarm.ts'

/** With the first kinds of faults only, of which the drawing stays as it is, and without readers. */
const FIRST: SwarmShape = { durability: 'disk', operations: false, faults: FIRST_FAULTS, readers: 0 }
/** With members of groups. */
const GROUPS: SwarmShape = { durability: 'disk', operations: false }
/** Without members of groups, of whom there were none. */
const LOST: SwarmShape = { ...GROUPS, members: 0 }
/** As seeds were drawn before disks could be lost. */
const ALL: SwarmShape = { ...LOST, faults: KEPT_FAULTS.slice(0, 42) }

/** As a seed is drawn by itself: with storms, and with its calm spells. */
const DRAWN: SwarmShape = { faults: FAULTS, steady: undefined }

/** As seeds were drawn before disks could be lost, and acknowledged from memory, where nobody read. */
const MEMORY: SwarmShape = { ...ALL, durability: 'memory', readers: 0 }

const SEEDS: readonly (readonly [seed: number, was: string, shape: SwarmShape])[] = [
  [
    1078,
    'a view change while a transferred checkpoint became durable: the superblock’s commit number went back',
    FIRST,
  ],
  [
    164,
    'a checkpoint overtook a header that was to be written again, behind a disk that took its time',
    { ...ALL, readers: 0 },
  ],
  [
    2297,
    'a primary that others had replaced took their frames for support, and denied a session that it did not know',
    FIRST,
  ],
  [2233, 'a header that outlived its prepare in a power cut was taken for damage by the start after the next', MEMORY],
  [135, 'a replica that had just put a log together put another one together for the same view', MEMORY],
  [191, 'what a power cut left half done stopped a single node at a later start', MEMORY],
  [
    5250,
    'an op of an earlier view came back after a start and was neither shown nor denied: two of three waited for the third',
    MEMORY,
  ],
  [22061, 'an op that the others had only in a checkpoint was waited for, not the checkpoint taken', LOST],
  [700053, 'copies of a superblock that a killed process had written counted as durable', LOST],
  [5049, 'a segment ended while its repair waited: the end of its index was not made again', ALL],
  [5093, 'the simulator took a cluster for at rest while an operation hung since before the healing', ALL],
  [
    20121,
    'a view began while the own checkpoint was read for a state transfer that it made needless: two users of one store',
    ALL,
  ],
  [
    20249,
    'ops were executed from memory in a view that was left before it was durable, and stayed in memory for good',
    ALL,
  ],
  [20279, 'the simulator flipped a bit twice, and took the frame for damaged', ALL],
  [
    20333,
    'an op that could be read again was neither shown nor denied in any vote, and only a replica without a head could have decided',
    ALL,
  ],
  [20367, 'the same, after honest errors of disks', ALL],
  [20476, 'a late request of a directory that was lost in its turn took the place from its successor', LOST],
  [20492, 'who is no member was told to the wrong replica, which stopped', LOST],
  [5000172, 'the simulator took a cluster for at rest before all had read their disks', ALL],
  [
    2000074,
    'a member that was removed for its silence stored an offset that it had asked for before, once the group had no members',
    { ...GROUPS, members: 4 },
  ],
  [26, 'a process whose place was taken passed on a prepare of its successor, and was taken for its maker', ALL],
  [7000134, 'a member of a group ended before it had heard that the answer to its poll was lost', ALL],
  [
    8000130,
    'a primary that had executed what it lacked took a checkpoint all the same, which nobody had, and executed nothing more',
    ALL,
  ],
  [9000653, 'the bound of the simulator left no time for a cluster that is led by the slow one', ALL],
  [
    1003671,
    'the first startView of a view came after the checkpoint that was taken of its later ops, and was taken for the log',
    ALL,
  ],
  [1002666, 'a loss that was accepted, and not durable yet, was accepted once more', ALL],
  [
    1001766,
    'the next op was here, and the header of the one after it nowhere: no checkpoint was taken, for an op was there',
    { ...ALL, readers: 0 },
  ],
  [1000718, 'somebody outside moved the offset of a group without members, as anybody may', ALL],
  [11000066, 'a member went on by itself where it had begun in an earlier grant, as it may without being asked', ALL],
  [
    35,
    'what was asked of a group met the next group of its name, which the checker did not know',
    { ...GROUPS, faults: FIRST_FAULTS, steady: false },
  ],
  [
    13,
    'a member that got nothing from a new primary counted as one that had got nothing before, and lost its partition at once',
    { ...GROUPS, faults: FIRST_FAULTS, steady: false },
  ],
  [
    77,
    'a vote did not show ops that were here, because the prepare of a later one was not: two replicas waited for a third without a head',
    { replicaCount: 3, operations: false },
  ],
  [
    308,
    'the checker of what was said read a copy of the superblock in which a bit had flipped beside the checksum',
    { durability: 'disk', members: 0, operations: false },
  ],
  [
    18000074,
    'after a power cut with durability memory, a slot that held an op of before the checkpoint was no sign of a lost one: it was denied',
    { readers: 0, steady: false },
  ],
  [
    19000175,
    'two were whole again, and a loss was told by the last word that one had of the other: what they lacked a lossy one could show',
    { durability: 'memory', readers: 0, steady: false },
  ],
  [
    30000018,
    'a member polled with auto-commit from where it was before it lost and got its partition again, as it may without knowing',
    {},
  ],
  [
    31000397,
    'a new primary let a user in by the password before one whose change its predecessor had acknowledged',
    { steady: undefined },
  ],
  [
    40001301,
    'the simulator damaged the only copy of a record: one had lost its checkpoints, the journal of another was overtaken',
    { steady: undefined },
  ],
  [
    43000903,
    'a checkpoint that a killed process had made again was read from memory, counted as durable, and was gone after a power cut',
    { steady: undefined },
  ],
  [
    45003179,
    'a ping named the durable view, and what was executed in the next one: the old primary executed an op of its own in that place',
    { steady: undefined },
  ],
  [
    50001106,
    'a simulated member that a node had told too late that a partition was not its own stored what it had got before, after what it got since',
    { steady: undefined },
  ],
  [
    55003004,
    'a simulated member that still went about stored what it had got before when another one had read the partition to its end',
    { steady: undefined },
  ],
  [82, 'the log went no faster than the slowest of the replicas, for good', ALL],
  [20355, 'two flipped bits cancelled each other in the simulator’s checksum', ALL],
  [
    59001877,
    'a primary learned that more was committed, counted what it had waited for in the middle of that, and ended',
    DRAWN,
  ],
  [
    59004051,
    'after a loss another session had the number of a lost one: what readers compare took its messages for those of before',
    DRAWN,
  ],
  [
    60001167,
    'a heartbeat of the dead primary that had been two seconds on its way kept the others waiting for another election time-out',
    DRAWN,
  ],
  [
    62003463,
    'a replica counted as healed whose disk hung for seven more seconds: without its vote no view could begin, and views were counted',
    DRAWN,
  ],
]

for (const [seed, was, shape] of SEEDS) {
  test(`seed ${seed}: ${was}`, () => {
    const { outcome, what } = runSeed({ seed, steady: true, faults: KEPT_FAULTS, ...shape })
    assert.equal(outcome, 'held', what)
  })
}
