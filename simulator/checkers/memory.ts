// What a replica has said about its view and its log it can never take back: its disk knows it before it is said, no later life
// speaks of less, and its votes for one view always show the same log.
import { FrameAt, MEMBERS_BLOCK_SIZE } from '../../consensus/frames.ts'
import { At, Command, commandOf, equal128, getKey, getU32, getU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message, SECTOR_SIZE } from '../../src/protocol/message.ts'
import { SUPERBLOCK_COPIES, SUPERBLOCK_FILE, superblockCopySize } from '../../storage/superblock.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { Watcher } from './watcher.ts'

interface Views {
  view: number
  logView: number
}

/** Places in a copy of the superblock, see storage/superblock.ts. */
const SEQUENCE = 40
const VIEW = 104
const LOG_VIEW = 108
/** A sector that was never written. */
const ZEROS = new Uint32Array(SECTOR_SIZE / 4)

export class MemoryChecker implements Watcher {
  /** Whoever sends these says that it is in the view, and in no later one. */
  readonly commands = new Set([Command.prepareOk, Command.startView, Command.confirmed, Command.doViewChange])
  readonly #said = new Map<number, Views>()
  /** By replica and view: log_view and checksum of the headers. */
  readonly #votes = new Map<string, string>()

  onSend(node: SimNode, message: Message): void {
    const command = commandOf(message)
    const { index } = node
    const view = getU32(message.words, At.view)
    const logView = command === Command.doViewChange ? getU32(message.words, FrameAt.doViewChange.logView) : view
    const durable = durableViews(node)
    if (durable.view < view || durable.logView < logView)
      fail(node, `spoke of view ${view}, log_view ${logView}, and its disk has ${durable.view}, ${durable.logView}`)
    let said = this.#said.get(index)
    if (said === undefined) {
      said = { view: 0, logView: 0 }
      this.#said.set(index, said)
    }
    if (view < said.view) fail(node, `forgot view ${said.view}: it speaks of view ${view} again`)
    if (logView < said.logView) fail(node, `forgot log_view ${said.logView}: it speaks of ${logView} again`)
    said.view = view
    said.logView = logView
    if (command === Command.doViewChange) this.#compareVote(node, view, logView, message)
  }

  /** Another directory speaks for this replica: what the one before said binds it no more. */
  forget({ index }: SimNode): void {
    this.#said.delete(index)
    for (const key of this.#votes.keys()) if (key.startsWith(`${index}/`)) this.#votes.delete(key)
  }

  #compareVote(node: SimNode, view: number, logView: number, message: Message): void {
    const key = `${node.index}/${view}`
    // The members that it counts, at the end of the body, may change meanwhile.
    let vote = `${logView}`
    for (let at = HEADER_SIZE; at < message.size - MEMBERS_BLOCK_SIZE; at += HEADER_SIZE)
      vote += ` ${getKey(message.words, at + At.checksum)}`
    if ((this.#votes.get(key) ?? vote) !== vote) fail(node, `showed two logs for view ${view}`)
    this.#votes.set(key, vote)
  }
}

/** As the newest version that a quorum of durable copies agrees on has them. */
function durableViews({ disk, geometry }: SimNode): Views {
  const size = superblockCopySize(geometry.pipelineMax)
  const copies: Uint32Array[] = []
  for (let copy = 0; copy < SUPERBLOCK_COPIES; copy++)
    copies.push(disk.durableSector(SUPERBLOCK_FILE, (copy * size) / SECTOR_SIZE) ?? ZEROS)
  let newest = -1
  const views = { view: -1, logView: -1 }
  for (const [i, copy] of copies.entries()) {
    const sequence = getU64(copy, SEQUENCE)
    if (sequence <= newest || !copies.some((other, j) => j !== i && saysTheSame(copy, other))) continue
    newest = sequence
    views.view = getU32(copy, VIEW)
    views.logView = getU32(copy, LOG_VIEW)
  }
  return views
}

/** Bits may have flipped in one of them, and its checksum be what it was. */
function saysTheSame(copy: Uint32Array, other: Uint32Array): boolean {
  return (
    equal128(copy, 0, other, 0) &&
    getU64(copy, SEQUENCE) === getU64(other, SEQUENCE) &&
    getU32(copy, VIEW) === getU32(other, VIEW) &&
    getU32(copy, LOG_VIEW) === getU32(other, LOG_VIEW)
  )
}

function fail(node: SimNode, what: string): never {
  throw new Violation('memory', `replica ${node.index} ${what}`)
}
