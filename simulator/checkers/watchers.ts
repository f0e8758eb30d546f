// The checkers of a running cluster, each asked in its turn. Most events change nothing that most of them look at, and there are
// thousands of events in a second of virtual time: so who looks at what is found out once, not at every event.
import { commandOf } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import type { Header } from '../../storage/header.ts'
import type { SuperblockState } from '../../storage/superblock.ts'
import type { SimNode } from '../node.ts'
import type { Executor } from './history.ts'
import type { Watcher } from './watcher.ts'

type Of<K extends keyof Watcher> = Watcher & Required<Pick<Watcher, K>>

export class Watchers {
  #all: readonly Watcher[] = []
  #ofFrames: readonly Of<'onSend'>[] = []
  /** By command: those that look at such frames. */
  readonly #byCommand: (readonly Of<'onSend'>[])[] = []
  #ofEvents: readonly Of<'afterEvent'>[] = []
  #ofSuperblocks: readonly Of<'onSuperblock'>[] = []
  /** By replica: what its superblock said when it was last looked at. */
  readonly #states: (SuperblockState | null)[] = []

  constructor(all: readonly Watcher[]) {
    this.#are(all)
  }

  /** They look on all the time, in this order. */
  #are(all: readonly Watcher[]): void {
    this.#all = all
    this.#ofFrames = all.filter((watcher): watcher is Of<'onSend'> => watcher.onSend !== undefined)
    this.#byCommand.length = 0
    this.#ofEvents = all.filter((watcher): watcher is Of<'afterEvent'> => watcher.afterEvent !== undefined)
    this.#ofSuperblocks = all.filter((watcher): watcher is Of<'onSuperblock'> => watcher.onSuperblock !== undefined)
  }

  add(watcher: Watcher): void {
    this.#are([...this.#all, watcher])
  }

  remove(checker: new (...args: never[]) => Watcher): void {
    this.#are(this.#all.filter((watcher) => !(watcher instanceof checker)))
  }

  onSend(node: SimNode, message: Message): void {
    const command = commandOf(message)
    for (const watcher of this.#byCommand[command] ?? this.#lookingAt(command)) watcher.onSend(node, message)
  }

  #lookingAt(command: number): readonly Of<'onSend'>[] {
    const looking = this.#ofFrames.filter(({ commands }) => commands === undefined || commands.has(command))
    this.#byCommand[command] = looking
    return looking
  }

  afterEvent(node: SimNode): void {
    const { superblock, index } = node
    // Its state is there once it was read, and is replaced, never changed.
    if (superblock !== null && node.opened && this.#states[index] !== superblock.state) {
      this.#states[index] = superblock.state
      for (const watcher of this.#ofSuperblocks) watcher.onSuperblock(node)
    }
    for (const watcher of this.#ofEvents) watcher.afterEvent(node)
  }

  onCommitted(node: Executor, header: Header): void {
    for (const watcher of this.#all) watcher.onCommitted?.(node, header)
  }

  onRemove(node: SimNode, file: string): void {
    for (const watcher of this.#all) watcher.onRemove?.(node, file)
  }

  onLost(op: number): void {
    for (const watcher of this.#all) watcher.onLost?.(op)
  }

  onPowerLost(node: SimNode): void {
    for (const watcher of this.#all) watcher.onPowerLost?.(node)
  }

  forget(node: SimNode): void {
    this.#states[node.index] = null
    for (const watcher of this.#all) watcher.forget?.(node)
  }
}
