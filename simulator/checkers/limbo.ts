// I12: with durability `memory`, a replica whose machine lost its power belongs to no quorum until it knows what it missed: it
// says so on its disk before it says anything else, and until a primary has told it, it neither votes nor acknowledges, leads nor
// confirms who does; votes and leads only when its disk knows that, too. The same from when a refused sync has made it say so.
import { Command, commandOf } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { Watcher } from './watcher.ts'

/** Frames by which a replica is counted, or counts others, and what they say of it. */
const COUNTED: ReadonlyMap<number, string> = new Map([
  [Command.prepareOk, 'acknowledges'],
  [Command.doViewChange, 'votes'],
  [Command.startView, 'begins a view'],
  [Command.commit, 'leads'],
  [Command.confirm, 'asks who follows'],
  [Command.confirmed, 'confirms a primary'],
])

/** It gives them as soon as it was told what it missed; a view that its disk knows is no more durable when the doubt is over. */
const IN_ITS_VIEW: ReadonlySet<number> = new Set([Command.prepareOk, Command.confirmed])

export class LimboChecker implements Watcher {
  readonly commands: ReadonlySet<number> = new Set(COUNTED.keys())
  /** Whose machine lost its power, until it is in order again: has its disk said that it lacks something? */
  readonly #lacking = new Map<number, boolean>()

  onPowerLost({ index, geometry, opened }: SimNode): void {
    // One that had not read its disk had said nothing.
    if (geometry.durability === 'memory' && opened) this.#lacking.set(index, false)
  }

  onSuperblock({ index, superblock }: SimNode): void {
    if (superblock === null) return
    if (superblock.state.lossy) this.#lacking.set(index, true)
    else if (this.#lacking.get(index)) this.#lacking.delete(index)
  }

  onSend(node: SimNode, message: Message): void {
    if (this.#lacking.size === 0) return
    // What has become durable in this very event.
    this.onSuperblock(node)
    const told = this.#lacking.get(node.index)
    const command = commandOf(message)
    if (told === undefined || (told && node.replica?.status === 'normal' && IN_ITS_VIEW.has(command))) return
    throw new Violation(
      'limbo',
      `replica ${node.index}, whose machine lost its power, ${COUNTED.get(command)} ${told ? 'before it knows what it missed' : 'and has not said so'}`,
    )
  }

  forget({ index }: SimNode): void {
    this.#lacking.delete(index)
  }
}
