// A cluster reduced to what decides a view change: who holds which prepare, who promised which log, what was acknowledged.
// It follows the rules of consensus/replica.ts for logs, and storage/journal.ts for what a crash or bit rot leaves; time,
// frames and the state machine are left out. What really happened is kept beside it, for checking what is concluded.
//
//   view change:  leave → doViewChange → (chooseLog) → lead → startView → follow
//   normal:       prepare → receive → store → (acknowledged by a majority, in order) → committed
import assert from 'node:assert/strict'
import { type DoViewChange, majority } from '../../consensus/quorum.ts'
import type { SeededRandom } from '../../simulator/random.ts'
import { At, Command, setU64 } from '../../src/protocol/frame.ts'
import {
  HEADER_WORDS,
  type Header,
  headerOp,
  headerView,
  isParent,
  isReserved,
  sameHeader,
} from '../../storage/header.ts'

export const PIPELINE = 3

let identity = 0

/** A header with a checksum of its own; only the fields that a view change looks at are filled in. */
export function newHeader(op: number, view: number, parent: Header | null, commit: number): Header {
  const header = new Uint32Array(HEADER_WORDS)
  identity += 1
  header.set([identity, view, op, 0xc0ffee], At.checksum >>> 2)
  if (parent !== null) header.set(parent.subarray(0, 4), At.prepare.parent >>> 2)
  header[At.view >>> 2] = view
  header[At.command >>> 2] = Command.prepare
  setU64(header, At.prepare.op, op)
  setU64(header, At.prepare.commit, commit)
  return header
}

export function unknownHeader(op: number): Header {
  const header = new Uint32Array(HEADER_WORDS)
  header.set([0xffffffff, 0, op, 0], At.checksum >>> 2)
  header[At.command >>> 2] = Command.reserved
  setU64(header, At.prepare.op, op)
  return header
}

export class Node {
  readonly index: number
  status: 'normal' | 'view_change' | 'recovering_head' = 'normal'
  // Durable.
  view = 0
  logView = 0
  suffix: Header[]
  durableCommit = 0
  checkpoint = 0
  readonly disk = new Map<number, Header | 'bad'>()
  // In memory.
  head = 0
  commitMin = 0
  commitMax = 0
  readonly known = new Map<number, Header>()
  readonly faulty = new Set<number>()
  readonly cache = new Map<number, Header>()

  constructor(index: number, root: Header) {
    this.index = index
    this.suffix = [root]
  }

  holds(op: number): boolean {
    const known = this.known.get(op)
    return known !== undefined && this.disk.get(op) === known
  }

  readable(op: number): boolean {
    const known = this.known.get(op)
    return known !== undefined && (this.disk.get(op) === known || this.cache.get(op) === known)
  }

  learn(header: Header): void {
    const op = headerOp(header)
    this.known.set(op, header)
    if (this.disk.get(op) === header) this.faulty.delete(op)
  }

  truncate(head: number): void {
    for (const map of [this.known, this.cache]) for (const op of map.keys()) if (op > head) map.delete(op)
    for (const op of this.faulty) if (op > head) this.faulty.delete(op)
  }
}

export class Cluster {
  readonly nodes: Node[] = []
  readonly random: SeededRandom
  readonly size: number
  /** What was acknowledged by a majority in one view, op after op. Never changes once it is there. */
  readonly committed: Header[]
  /** Every prepare that was ever made. */
  readonly made = new Set<Header>()
  /** Who ever had a prepare on disk. */
  readonly everHeld = new Map<Header, Set<number>>()
  /** The log of the newest view that began, its acknowledgements, and doViewChange messages on their way to its successor. */
  readonly #logs = new Map<number, Map<number, Header>>()
  readonly #acks = new Map<string, number>()
  inbox = new Map<number, DoViewChange>()
  view = 0
  rotten = false

  constructor(size: number, random: SeededRandom) {
    this.size = size
    this.random = random
    const root = newHeader(0, 0, null, 0)
    this.committed = [root]
    this.made.add(root)
    for (let i = 0; i < size; i++) this.nodes.push(new Node(i, root))
    this.#logs.set(0, new Map([[0, root]]))
  }

  get commit(): number {
    return this.committed.length - 1
  }

  primaryOf(view: number): Node {
    return this.nodes[view % this.size] as Node
  }

  headerAt(node: Node, op: number): Header | null {
    if (op === node.commitMin) return this.committed[op] as Header
    return node.known.get(op) ?? null
  }

  #buildSuffix(node: Node): Header[] {
    const headers: Header[] = []
    const bottom = Math.max(0, node.head - PIPELINE, Math.min(node.commitMax, node.head))
    for (let op = node.head; op >= bottom; op--) headers.push(this.headerAt(node, op) ?? unknownHeader(op))
    return headers
  }

  // ---- normal operation ------------------------------------------------------------------------------------------

  /** Nodes that take part in the newest view's log. */
  members(): Node[] {
    return this.nodes.filter((n) => n.status === 'normal' && n.view === this.view && n.logView === this.view)
  }

  /** The primary makes an op if its pipeline has room. */
  prepare(): void {
    const primary = this.primaryOf(this.view)
    if (!this.members().includes(primary)) return
    const op = primary.head + 1
    if (op > primary.commitMax + PIPELINE) return
    const header = newHeader(op, this.view, this.headerAt(primary, primary.head), primary.commitMax)
    this.made.add(header)
    this.#logs.get(this.view)?.set(op, header)
    primary.head = op
    primary.learn(header)
    primary.cache.set(op, header)
  }

  /** A prepare of the view reaches a node: a new one, with or without those before it, or one that it lacks. */
  receive(node: Node): void {
    const log = this.#logs.get(this.view)
    if (!log || !this.members().includes(node)) return
    const op = this.random.chance(0.5) ? node.head + 1 : this.random.between(node.commitMin + 1, node.head + 2)
    const header = log.get(op)
    if (header === undefined || node.readable(op)) return
    if (op > node.head) {
      if (headerView(header) !== this.view) return
      const previous = op === node.head + 1 ? this.headerAt(node, node.head) : null
      assert.ok(previous === null || isParent(previous, header), 'a prepare of the view does not follow its log')
      node.head = op
      node.commitMax = Math.max(node.commitMax, Math.min(this.#commitOf(header), op - 1))
    } else if (!this.nodes.some((n) => n.disk.get(op) === header || n.cache.get(op) === header)) return
    node.learn(header)
    node.cache.set(op, header)
  }

  #commitOf(header: Header): number {
    return header[At.prepare.commit >>> 2] as number
  }

  /** A prepare reaches the disk, or only its beginning does; then the node may say so. */
  store(node: Node): void {
    for (const [op, header] of node.cache) {
      if (node.known.get(op) !== header || node.disk.get(op) === header || node.logView !== node.view) continue
      if (this.random.chance(0.3)) continue
      if (this.random.chance(0.1)) {
        if (node.disk.get(op) !== 'bad') node.disk.delete(op)
        continue
      }
      node.disk.set(op, header)
      node.faulty.delete(op)
      const held = this.everHeld.get(header) ?? new Set()
      this.everHeld.set(header, held.add(node.index))
    }
    this.acknowledge(node)
  }

  acknowledge(node: Node): void {
    const primary = this.primaryOf(this.view)
    const leads = node === primary && node.view === this.view && node.logView === this.view
    if (!leads && !this.members().includes(node)) return
    for (const [op, header] of this.#logs.get(this.view) ?? []) {
      if (node.known.get(op) !== header || !node.holds(op)) continue
      const key = `${this.view} ${header[0]}`
      this.#acks.set(key, (this.#acks.get(key) ?? 0) | (1 << node.index))
    }
    this.#count()
  }

  #count(): void {
    const log = this.#logs.get(this.view) as Map<number, Header>
    for (;;) {
      const header = log.get(this.committed.length)
      if (header === undefined) break
      let votes = 0
      for (let bits = this.#acks.get(`${this.view} ${header[0]}`) ?? 0; bits !== 0; bits &= bits - 1) votes += 1
      if (votes < majority(this.size)) break
      this.committed.push(header)
    }
  }

  /** A node hears how far the view has committed, and executes what it has. */
  hearCommit(node: Node): void {
    if (!this.members().includes(node) && node !== this.primaryOf(this.view)) return
    if (node.logView !== this.view) return
    node.commitMax = Math.max(node.commitMax, this.random.between(node.commitMax, this.commit))
    this.#execute(node)
    if (this.random.chance(0.2)) node.checkpoint = this.random.between(node.checkpoint, node.commitMin)
    node.durableCommit = Math.max(node.durableCommit, node.checkpoint)
  }

  #execute(node: Node): void {
    while (node.commitMin < Math.min(node.commitMax, node.head)) {
      const op = node.commitMin + 1
      if (node.known.get(op) !== this.committed[op] || !node.readable(op)) return
      node.commitMin = op
    }
  }

  // ---- view change -------------------------------------------------------------------------------------------------

  leave(node: Node, view: number): void {
    if (node.status === 'recovering_head' || node.view >= view) return
    if (node.logView === node.view) node.suffix = this.#buildSuffix(node)
    node.view = view
    node.status = 'view_change'
    node.durableCommit = Math.max(node.durableCommit, node.commitMax)
  }

  /** What a node that has left its view says now; the bits do not change with it later. */
  doViewChange(node: Node): DoViewChange {
    const headers = node.suffix
    const present = headers.map((header) => this.#isPresent(node, header))
    const nack = headers.map((header) => this.#isNack(node, header))
    return {
      replica: node.index,
      logView: node.logView,
      op: headerOp(headers[0] as Header),
      commitMin: node.commitMin,
      commitMax: node.commitMax,
      checkpointOp: node.checkpoint,
      lossEpoch: 0,
      executedEpoch: 0,
      headers,
      present: (i) => present[i] as boolean,
      nack: (i) => nack[i] as boolean,
    }
  }

  #isPresent(node: Node, header: Header): boolean {
    const op = headerOp(header)
    if (isReserved(header)) return false
    if (op === node.commitMin) return true
    return node.known.get(op) === header && node.readable(op)
  }

  #isNack(node: Node, header: Header): boolean {
    const op = headerOp(header)
    if (op <= node.commitMin) return false
    const known = node.known.get(op)
    if (known === undefined) return !node.faulty.has(op) && isReserved(header)
    if (!isReserved(header) && !sameHeader(known, header)) return true
    return !node.holds(op) && !node.faulty.has(op)
  }

  /** The primary of a view installs the log that was chosen for it. */
  lead(view: number, headers: readonly Header[], commitMax: number): void {
    const primary = this.primaryOf(view)
    this.#install(primary, headers, commitMax)
    const log = new Map<number, Header>()
    for (const header of this.committed) log.set(headerOp(header), header)
    for (const header of headers) log.set(headerOp(header), header)
    this.#logs.set(view, log)
    this.view = view
    this.inbox = new Map()
    this.acknowledge(primary)
  }

  /** A primary that has everything up to its head begins to work. */
  work(): void {
    const primary = this.primaryOf(this.view)
    if (primary.view !== this.view || primary.logView !== this.view || primary.status !== 'view_change') return
    for (let op = primary.commitMin + 1; op <= primary.head; op++) {
      const header = this.#logs.get(this.view)?.get(op) as Header
      primary.learn(header)
      if (!primary.readable(op) && this.nodes.some((n) => n.disk.get(op) === header || n.cache.get(op) === header))
        primary.cache.set(op, header)
      if (!primary.readable(op)) return
    }
    this.#execute(primary)
    if (primary.commitMin < primary.commitMax) return
    primary.status = 'normal'
  }

  /** The primary's startView reaches a node. */
  follow(node: Node): void {
    const primary = this.primaryOf(this.view)
    if (primary.view !== this.view || primary.logView !== this.view) return
    if (node === primary || node.view > this.view) return
    if (node.status === 'normal' && node.logView === this.view && primary.head <= node.head) return
    const headers = this.#buildSuffix(primary)
    if (headers.some((header) => isReserved(header))) return
    node.view = this.view
    this.#install(node, headers, primary.commitMax)
    node.status = 'normal'
    this.acknowledge(node)
  }

  #install(node: Node, headers: readonly Header[], commitMax: number): void {
    const head = headerOp(headers[0] as Header)
    assert.ok(head >= node.commitMin, 'a view began without ops that were executed')
    node.logView = node.view
    node.truncate(head)
    node.head = head
    node.commitMax = Math.max(node.commitMax, commitMax)
    for (const header of headers) if (headerOp(header) > node.commitMin) node.learn(header)
    for (const [op, header] of node.cache) if (node.known.get(op) !== header) node.cache.delete(op)
    node.suffix = this.#buildSuffix(node)
    node.durableCommit = Math.max(node.durableCommit, node.commitMax)
  }

  // ---- crashes ---------------------------------------------------------------------------------------------------

  /** The process dies and comes back; some of its prepares are rotten then. */
  restart(node: Node, rot: number): void {
    for (const [op, found] of node.disk) {
      if (op <= node.checkpoint) node.disk.delete(op)
      else if (found !== 'bad' && this.random.chance(rot)) {
        node.disk.set(op, 'bad')
        this.rotten = true
      }
    }
    node.known.clear()
    node.cache.clear()
    node.faulty.clear()
    for (const [op, found] of node.disk) if (found === 'bad') node.faulty.add(op)
    const head = headerOp(node.suffix[0] as Header)
    const bottom = headerOp(node.suffix.at(-1) as Header)
    const current = node.logView === node.view
    for (const [op, header] of node.disk) {
      if (header === 'bad') continue
      const promised = op <= head && op >= bottom ? (node.suffix[head - op] as Header) : null
      const allowed =
        promised !== null
          ? sameHeader(header, promised)
          : op > head
            ? current && headerView(header) === node.logView
            : headerView(header) <= node.logView
      if (allowed) node.known.set(op, header)
    }
    for (const header of node.suffix) if (headerOp(header) > node.checkpoint && !isReserved(header)) node.learn(header)
    node.head = Math.max(head, node.checkpoint, ...(current ? node.known.keys() : []))
    node.commitMin = node.checkpoint
    node.commitMax = Math.max(node.durableCommit, node.head - PIPELINE, node.commitMin)
    const lost = [...node.faulty].some((op) => op > node.head && !node.known.has(op))
    if (lost) node.status = 'recovering_head'
    else if (current && this.primaryOf(node.view) !== node) node.status = 'normal'
    else {
      node.status = 'view_change'
      if (current) this.leave(node, node.view + 1)
    }
    this.#execute(node)
  }
}
