// What every checker of a running cluster may look at. Each is told before a frame leaves, after a node dealt with something,
// and when an op is executed for the first time by anybody; what must never be, it says with a Violation.
import type { Message } from '../../src/protocol/message.ts'
import type { Header } from '../../storage/header.ts'
import type { SimNode } from '../node.ts'
import type { Executor } from './history.ts'

/** Was this slot of this replica's journal damaged since it was written? Its journal cannot know. */
export type IsSpoiled = (replica: number, slot: number) => boolean

export interface Watcher {
  /** Of the frames that `onSend` is told of; all when absent. */
  readonly commands?: ReadonlySet<number>
  /** Before the frame leaves the node; `to` another node. */
  onSend?(node: SimNode, message: Message): void
  afterEvent?(node: SimNode): void
  /** After the event in which it was opened, or came to say something else. */
  onSuperblock?(node: SimNode): void
  /** The op of this header is committed: `node` is the first to have executed it. */
  onCommitted?(node: Executor, header: Header): void
  /** A file of the node is being removed. */
  onRemove?(node: SimNode, file: string): void
  /** With durability `memory`: this op and all above it are lost, and the cluster has said so. */
  onLost?(op: number): void
  /** The machine of the node loses its power, with a process on it. */
  onPowerLost?(node: SimNode): void
  /** The disk of the node is another one from now on. */
  forget?(node: SimNode): void
}
