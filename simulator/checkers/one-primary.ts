// I9: a view has one primary, which is the one that its number says; it makes each op of the view once.
import { At, Command, commandOf, getKey, getU32, getU64 } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { Watcher } from './watcher.ts'

export class OnePrimaryChecker implements Watcher {
  /** Those that only primaries send, and prepares, which anybody may pass on; they name who made them. */
  readonly commands = new Set([Command.commit, Command.startView, Command.confirm, Command.prepare])
  readonly #replicaCount: number
  /** By view and op: the checksum of the prepare. */
  readonly #made = new Map<string, string>()

  constructor(replicaCount: number) {
    this.#replicaCount = replicaCount
  }

  onSend({ index }: SimNode, message: Message): void {
    const view = getU32(message.words, At.view)
    const primary = view % this.#replicaCount
    if (commandOf(message) !== Command.prepare) {
      if (primary === index) return
      throw new Violation('one-primary', `replica ${index} leads view ${view}, which is replica ${primary}'s`)
    }
    const author = message.bytes[At.replica] as number
    const op = getU64(message.words, At.prepare.op)
    if (author !== primary)
      throw new Violation('one-primary', `op ${op} of view ${view} was made by replica ${author}, not by ${primary}`)
    const checksum = getKey(message.words, At.checksum)
    const known = this.#made.get(`${view}/${op}`)
    if (known === undefined) this.#made.set(`${view}/${op}`, checksum)
    else if (known !== checksum)
      throw new Violation('one-primary', `replica ${author} made op ${op} of view ${view} twice, differently`)
  }
}
