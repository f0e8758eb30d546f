// What the explorer leaves out, because it makes no difference to what can happen: frames that tell nothing new, and what a
// replica knows without ever looking at it again. The fewer states differ in name only, the more are reached.
import { FrameAt } from '../../consensus/frames.ts'
import type { ReplicaMemory } from '../../consensus/replica.ts'
import { Command, commandOf } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'

/**
 * Pongs are lost. What is asked for here comes anyway: every prepare was sent to everybody and may still arrive, and a primary
 * answers the pings of long ago with its startView; only one that must carry a nonce has to be asked for.
 */
export function isSuperfluous(message: Message): boolean {
  const command = commandOf(message)
  const nonce = FrameAt.getView.nonce >>> 2
  return (
    command === Command.pong ||
    command === Command.getPrepare ||
    (command === Command.getView && message.words[nonce] === 0 && message.words[nonce + 1] === 0)
  )
}

/**
 * The same memory without what makes no difference from here on: what a view change needed that has ended, what is only shown to
 * people; and without what was merely noted until more of its kind comes (wishes, acknowledgements, votes of others): those
 * frames are still in the inbox, and all that are wanted arrive together. Whom a primary hears is not explored: everybody, always.
 */
export function withoutTheIrrelevant(memory: ReplicaMemory, own: number): ReplicaMemory {
  const { view, logView, status } = memory
  const over = logView >= view
  return {
    ...memory,
    peers: memory.peers.map((peer) => ({
      connected: true,
      op: 0,
      view: status === 'recovering_head' ? peer.view : 0,
      commit: 0,
      checkpoint: 0,
      wishView: 0,
    })),
    pipeline: memory.pipeline.map((entry) => ({ ...entry, acks: entry.acks & (1 << own) })),
    wish: memory.wish > view ? memory.wish : 0,
    digests: { ...memory.digests, told: [] },
    viewHead: 0,
    suffix: over ? [] : memory.suffix,
    doViewChanges: over ? [] : memory.doViewChanges.filter((vote) => vote.replica === own),
    cache: [...memory.cache].sort(([a], [b]) => a - b),
  }
}
