// What a replica says is durable is durable, byte for byte, at the moment at which it says so: prepares before prepareOk,
// views before anything stamped with them.
import { FrameAt } from '../../consensus/frames.ts'
import { At, Command, commandOf, equal128, getU32, getU64 } from '../../src/protocol/frame.ts'
import { type Message, SECTOR_SIZE } from '../../src/protocol/message.ts'
import type { FileName } from '../../storage/disk.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import type { Geometry, Superblock } from '../../storage/superblock.ts'
import { Violation } from '../violation.ts'

/** Who speaks: a node, as far as its promises are concerned. */
export interface Speaker {
  readonly index: number
  readonly geometry: Geometry
  readonly superblock: Superblock | null
  readonly disk: {
    durableSector(file: FileName, sector: number): Uint32Array | null
    /** For durability `memory`. */
    writtenSector?(file: FileName, sector: number): Uint32Array | null
  }
}

export class PromiseChecker {
  prepareOks = 0
  /** `replica slot` of prepares that were spoiled by hand. */
  readonly rotten = new Set<string>()
  /** By replica: the last log_view that was durable there when it spoke. */
  readonly #logViews: number[] = []
  /** Was a slot damaged since it was written? What was durable may be gone behind the replica's back. */
  excused: (replica: number, slot: number) => boolean = () => false
  /** Of those: does it hold what was right once? */
  stale: (replica: number, slot: number) => boolean = () => false

  /** `old`: another process has the disk now, and its slots. */
  onSend(node: Speaker, message: Message, old = false): void {
    const state = node.superblock?.state
    if (state === undefined) return
    if (!old) this.#logViews[node.index] = Math.max(this.#reached(node), state.logView)
    const command = commandOf(message)
    const view = getU32(message.words, At.view)
    switch (command) {
      case Command.prepareOk:
        this.prepareOks += 1
        this.#logViewIs(node, view, 'acknowledged a prepare')
        if (!old) this.#prepareIsDurable(node, message)
        break
      case Command.startView:
      case Command.commit:
        this.#logViewIs(node, view, 'spoke as primary')
        break
      case Command.doViewChange:
        if (state.view !== view) this.#fail(node, `voted in view ${view} while its durable view is ${state.view}`)
        break
      case Command.ping:
      case Command.pong:
        if (state.view < view) this.#fail(node, `told view ${view} while its durable view is ${state.view}`)
        break
      case Command.prepare:
        // A process whose place another one has taken may pass on what that one has made.
        if (message.bytes[At.replica] === node.index && view > (old ? this.#reached(node) : state.logView))
          this.#fail(node, `sent a prepare of view ${view} while its durable log_view is ${state.logView}`)
        break
      default:
    }
  }

  #reached({ index }: Speaker): number {
    return this.#logViews[index] ?? 0
  }

  isSpoiled(replica: number, slot: number): boolean {
    return this.rotten.has(`${replica} ${slot}`) || this.excused(replica, slot)
  }

  /** Another disk: what rotted on the old one is gone with it. */
  forget(node: Speaker): void {
    for (const place of this.rotten) if (place.startsWith(`${node.index} `)) this.rotten.delete(place)
  }

  #logViewIs(node: Speaker, view: number, what: string): void {
    const state = node.superblock?.state
    if (state?.logView !== view || state.view !== view)
      this.#fail(node, `${what} in view ${view} while view ${state?.view}, log_view ${state?.logView} are durable`)
  }

  #prepareIsDurable(node: Speaker, message: Message): void {
    const op = getU64(message.words, FrameAt.prepareOk.op)
    const { journalSlots, frameSizeMax } = node.geometry
    const slot = op % journalSlots
    if (this.isSpoiled(node.index, slot)) return
    for (const sector of [slot, journalSlots + (slot * frameSizeMax) / SECTOR_SIZE]) {
      // With durability `memory` it says that it is written: what a crash of the process leaves.
      const lazy = node.geometry.durability === 'memory'
      const { disk } = node
      const header = lazy ? disk.writtenSector?.(JOURNAL_FILE, sector) : disk.durableSector(JOURNAL_FILE, sector)
      if (!header || !equal128(header, At.checksum, message.words, FrameAt.prepareOk.checksum))
        this.#fail(node, `acknowledged op ${op}, which is not in its journal as it promised`)
    }
  }

  #fail(node: Speaker, what: string): never {
    throw new Violation('promise', `replica ${node.index} ${what}`)
  }
}
