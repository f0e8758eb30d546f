// What replicas say, and what their disks hold at that moment: each lie is noticed, and what is right is not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FrameAt } from '../../../consensus/frames.ts'
import { LimboChecker } from '../../../simulator/checkers/limbo.ts'
import { MemoryChecker } from '../../../simulator/checkers/memory.ts'
import { PromiseChecker } from '../../../simulator/checkers/promises.ts'
import type { SimNode } from '../../../simulator/node.ts'
import { At, Command, copy128, setU32, setU64 } from '../../../src/protocol/frame.ts'
import { type Message, SECTOR_SIZE } from '../../../src/protocol/message.ts'
import type { Header } from '../../../storage/header.ts'
import { SUPERBLOCK_COPIES, SUPERBLOCK_FILE, superblockCopySize } from '../../../storage/superblock.ts'
import { diskOf, diskWith, frame, header, node, PIPELINE, violates } from './planted.ts'

function prepareOk(view: number, op: Header): Message {
  const message = frame(Command.prepareOk, view)
  copy128(message.words, FrameAt.prepareOk.checksum, op, At.checksum)
  setU64(message.words, FrameAt.prepareOk.op, op[At.prepare.op >>> 2] as number)
  return message
}

test('promises: a prepare that is acknowledged is durable in both rings', () => {
  const op = header(3)
  const checker = new PromiseChecker()
  checker.onSend(node({ view: 2, disk: diskWith([op]) }), prepareOk(2, op))
  assert.equal(checker.prepareOks, 1)
  for (const part of [{ prepares: false }, { redundant: false }])
    violates('promise', /replica 0 acknowledged op 3, which is not in its journal/, () =>
      checker.onSend(node({ view: 2, disk: diskWith([op], part) }), prepareOk(2, op)),
    )
  violates('promise', /acknowledged op 3/, () =>
    checker.onSend(node({ view: 2, disk: diskWith([header(3, { name: 9 })]) }), prepareOk(2, op)),
  )
  // A slot that was damaged behind its back, until the disk is another one; and one that is another process's by now.
  checker.rotten.add('0 3')
  checker.onSend(node({ view: 2 }), prepareOk(2, op))
  checker.forget(node())
  violates('promise', /acknowledged op 3/, () => checker.onSend(node({ view: 2 }), prepareOk(2, op)))
  checker.onSend(node({ view: 2 }), prepareOk(2, op), true)
})

test('promises: a view is durable before anything of it is said', () => {
  const checker = new PromiseChecker()
  const op = header(3)
  const before = node({ view: 4, disk: diskWith([op]) })
  const joined = node({ view: 5, logView: 4, disk: diskWith([op]) })
  for (const early of [before, joined]) {
    violates('promise', /acknowledged a prepare in view 5 while view \d, log_view 4 are durable/, () =>
      checker.onSend(early, prepareOk(5, op)),
    )
    for (const command of [Command.startView, Command.commit])
      violates('promise', /spoke as primary in view 5/, () => checker.onSend(early, frame(command, 5)))
  }
  violates('promise', /voted in view 5 while its durable view is 4/, () =>
    checker.onSend(before, frame(Command.doViewChange, 5)),
  )
  for (const command of [Command.ping, Command.pong])
    violates('promise', /told view 5 while its durable view is 4/, () => checker.onSend(before, frame(command, 5)))
  for (const command of [Command.doViewChange, Command.ping, Command.pong]) checker.onSend(joined, frame(command, 5))
  for (const command of [Command.startView, Command.commit]) checker.onSend(node({ view: 5 }), frame(command, 5))
})

test('promises: a primary prepares in a view whose log is durable; others pass on what they have', () => {
  const checker = new PromiseChecker()
  const prepare = (author: number): Message => {
    const message = frame(Command.prepare, 5)
    message.bytes[At.replica] = author
    return message
  }
  checker.onSend(node({ view: 5 }), prepare(0))
  checker.onSend(node({ index: 1, view: 4 }), prepare(0))
  violates('promise', /replica 2 sent a prepare of view 5 while its durable log_view is 4/, () =>
    checker.onSend(node({ index: 2, view: 5, logView: 4 }), prepare(2)),
  )
  // A process whose place another one has taken passes on what that one has made.
  checker.onSend(node({ view: 4 }), prepare(0), true)
})

/** Copies of a superblock, where the checker looks: sequence, view, log_view; a copy that is null was never written. */
function copies(...all: readonly (readonly [sequence: number, view: number, logView: number] | null)[]) {
  const size = superblockCopySize(PIPELINE) / SECTOR_SIZE
  assert.equal(all.length, SUPERBLOCK_COPIES)
  return diskOf(
    all.flatMap((copy, i) => {
      if (copy === null) return []
      const words = new Uint32Array(SECTOR_SIZE / 4)
      const [sequence, view, logView] = copy
      words[0] = sequence
      setU64(words, 40, sequence)
      setU32(words, 104, view)
      setU32(words, 108, logView)
      return [[SUPERBLOCK_FILE, i * size, words] as const]
    }),
  )
}

function speaker(view: number, logView = view): SimNode {
  const copy = [1, view, logView] as const
  return node({ view, logView, disk: copies(copy, copy, copy, copy) })
}

function vote(view: number, logView: number, headers: readonly Header[], members = 1): Message {
  // The members that it knows stand behind the headers.
  const message = frame(Command.doViewChange, view, [...headers, header(members)])
  setU32(message.words, FrameAt.doViewChange.logView, logView)
  return message
}

test('memory: what is said is on a quorum of the copies of the superblock, whatever the process believes', () => {
  const now = [8, 5, 5] as const
  const before = [7, 4, 4] as const
  new MemoryChecker().onSend(node({ view: 5, disk: copies(now, now, before, before) }), frame(Command.startView, 5))
  for (const disk of [copies(now, before, before, before), copies(now, before, before, null)])
    violates('memory', /spoke of view 5, log_view 5, and its disk has 4, 4/, () =>
      new MemoryChecker().onSend(node({ view: 5, disk }), frame(Command.startView, 5)),
    )
  // Two copies that say different things under one number are no quorum.
  violates('memory', /its disk has 4, 4/, () =>
    new MemoryChecker().onSend(
      node({ view: 5, disk: copies(now, [8, 6, 5], before, before) }),
      frame(Command.startView, 5),
    ),
  )
  violates('memory', /spoke of view 5, log_view 5, and its disk has 5, 4/, () =>
    new MemoryChecker().onSend(speaker(5, 4), frame(Command.confirmed, 5)),
  )
})

test('memory: after a vote for a later view nothing of an earlier one, in no life, until the disk is another one', () => {
  for (const command of [Command.prepareOk, Command.confirmed, Command.startView]) {
    const checker = new MemoryChecker()
    checker.onSend(speaker(5), frame(command, 5))
    checker.onSend(speaker(6, 5), vote(6, 5, [header(3)]))
    violates('memory', /forgot view 6: it speaks of view 5 again/, () => checker.onSend(speaker(6), frame(command, 5)))
    checker.forget(speaker(5))
    checker.onSend(speaker(6), frame(command, 5))
  }
  const checker = new MemoryChecker()
  checker.onSend(speaker(6, 5), vote(6, 5, [header(3)]))
  violates('memory', /forgot log_view 5: it speaks of 4 again/, () =>
    checker.onSend(speaker(7, 5), vote(7, 4, [header(3)])),
  )
})

test('memory: the votes of a replica for one view show one log', () => {
  const checker = new MemoryChecker()
  const log = [header(4), header(3)]
  checker.onSend(speaker(6, 5), vote(6, 5, log))
  // Whom it knows may have changed.
  checker.onSend(speaker(6, 5), vote(6, 5, log, 2))
  for (const other of [[header(4)], [header(4, { name: 9 }), header(3)], [header(5), ...log]])
    violates('memory', /replica 0 showed two logs for view 6/, () => checker.onSend(speaker(6, 5), vote(6, 5, other)))
})

const COUNTED = ['prepareOk', 'doViewChange', 'startView', 'commit', 'confirm', 'confirmed'] as const

test('limbo: whose machine lost its power, and who is counted before it knows what it missed', () => {
  const memory = { durability: 'memory' } as const
  const lossy = node({ ...memory, lossy: true, status: 'recovering_head' })
  for (const name of COUNTED) {
    const message = frame(Command[name], 5)
    const checker = new LimboChecker()
    checker.onSend(node(memory), message)
    checker.onPowerLost(node(memory))
    // Its disk does not say so, or does.
    violates('limbo', /replica 0, whose machine lost its power, .* and has not said so/, () =>
      checker.onSend(node(memory), message),
    )
    checker.onSuperblock(node(memory))
    violates('limbo', /has not said so/, () => checker.onSend(node(memory), message))
    checker.onSuperblock(lossy)
    violates('limbo', /before it knows what it missed/, () => checker.onSend(lossy, message))
    checker.onSend(node({ ...memory, index: 1 }), message)
    // Told by a primary: in the view that its disk knows it follows at once.
    const told = node({ ...memory, lossy: true })
    if (name === 'prepareOk' || name === 'confirmed') checker.onSend(told, message)
    else violates('limbo', /before it knows what it missed/, () => checker.onSend(told, message))
    checker.onSend(node(memory), message)
    checker.onSend(node(memory), message)
    // What was synced is not lost, and what was never read was never said.
    checker.onPowerLost(node())
    checker.onPowerLost(node({ ...memory, opened: false }))
    checker.onSend(node(memory), message)
    checker.onPowerLost(node(memory))
    checker.forget(node(memory))
    checker.onSend(node(memory), message)
  }
})
