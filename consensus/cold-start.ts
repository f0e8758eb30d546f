// After a power cut that left too few replicas with all that they had acknowledged from memory. Nobody can elect: a replica that
// lost something must not vote. When all are there, one of them, the coordinator, asks each for what its journal really holds,
// and puts the longest log together that the hash chain allows. Whatever is missing then is missing everywhere.
//
//   coordinator                                    every other replica
//   coldStart(V, op) ─────────────────────────────▶ view V durable: takes part in no earlier view any more
//   ◀───────────── coldVote(V, log_view, headers from op on that can be read there)
//   … until all of everybody's headers are known; then: log_view = V, startView, and an op that says what may be lost
//
// Nothing that some replica had certainly synced may be missing: then nobody goes on, and an operator must decide.
//
// That too few may vote is only what the coordinator believes when it begins, from pings that may be old: whoever was lossy then
// may be whole now. The votes know, for nobody who gave one becomes whole but by a later log. When a quorum of them come from
// replicas that vote for this view as always, these choose its log; a loss is told only of an op that they cannot decide over and
// that nobody can show: as long as somebody can, a lossy one too, it is fetched from there.
import { type Header, headerOp, headerView, isParent, sameHeader } from '../storage/header.ts'
import type { Undecided } from './quorum.ts'

export interface ColdVote {
  readonly replica: number
  readonly logView: number
  /** From here to its head the ops are linked: of the log of its log view. Below may stand what that log has replaced. */
  readonly chainedFrom: number
  /** The last op that it has executed. */
  readonly executed: Header
  readonly commitMax: number
  /** Everything up to here was certainly durable at this replica once. */
  readonly durableOp: number
  readonly lossEpoch: number
  /** The losses that what it has executed counts: more than its log does after a state transfer. */
  readonly executedEpoch: number
  /** It knows where its log ends, and votes in the change to this view as always. */
  readonly voter: boolean
  /** The last op that its journal can hold. */
  readonly end: number
  /** The first op that is not told yet; beyond `end` when all is. */
  next: number
  /** By op: those whose prepares can be read there … */
  readonly headers: Map<number, Header>
  /** … and those that are only known. */
  readonly named: Map<number, Header>
  /** The end of its log; no lower than where that log began in its log view. */
  readonly head: number
  /** From here on it knows of every op of before its log view that its log has: what else it knows there is of that view. */
  readonly suffixFrom: number
}

export type ColdOutcome =
  | { readonly kind: 'wait' }
  /** Others know of a loss that the base does not count: one of them must coordinate. */
  | { readonly kind: 'outdated' }
  /** Synced once, and nobody has it any more. */
  | { readonly kind: 'missing'; readonly op: number }
  | {
      readonly kind: 'ready'
      /** Head first, from the end of the log down to the first op above the base. */
      readonly headers: readonly Header[]
      readonly commitMax: number
      readonly lossEpoch: number
    }

/** Does the log have this op? Whatever its header, when that is not known. */
export function isShown(outcome: ColdOutcome, { op, header }: Undecided): boolean {
  if (outcome.kind !== 'ready') return false
  const shown = outcome.headers.find((other) => headerOp(other) === op)
  return shown !== undefined && (header === null || sameHeader(shown, header))
}

export class ColdStart {
  readonly view: number
  /** Votes to wait for. */
  readonly needed: number
  readonly #votes = new Map<number, ColdVote>()

  constructor(view: number, needed: number) {
    this.view = view
    this.needed = needed
  }

  vote(replica: number): ColdVote | undefined {
    return this.#votes.get(replica)
  }

  add(vote: ColdVote): void {
    this.#votes.set(vote.replica, vote)
  }

  /** Its process has ended: what the next one can show is asked anew. */
  forget(replica: number): void {
    this.#votes.delete(replica)
  }

  /** So many of those that have answered may vote as always. */
  get voters(): number {
    let voters = 0
    for (const vote of this.#votes.values()) if (vote.voter) voters += 1
    return voters
  }

  /** The log above `base`, an op that is executed at the coordinator, who knows of `losses`. */
  decide(base: Header, losses: number, pipelineMax: number): ColdOutcome {
    const votes = [...this.#votes.values()]
    if (votes.length < this.needed || votes.some((vote) => vote.next <= vote.end)) return { kind: 'wait' }
    const epoch = Math.max(losses, ...votes.map((vote) => Math.max(vote.lossEpoch, vote.executedEpoch)))
    // When nobody can, whoever has the newest checkpoint does.
    if (losses < epoch && votes.some((vote) => vote.executedEpoch === epoch)) return { kind: 'outdated' }
    // What was executed, durable, committed before a loss is what the others went on without.
    const told = votes.filter((vote) => vote.lossEpoch === epoch)
    const executed = votes.filter((vote) => vote.executedEpoch === epoch).map((vote) => vote.executed)
    const chain = longestLog(votes, base, executed)
    const head = headerOp(chain[0] ?? base)
    const needed = Math.max(0, ...told.map((vote) => vote.durableOp), ...executed.map(headerOp))
    if (head < needed) return { kind: 'missing', op: head + 1 }
    const known = Math.min(head, Math.max(0, ...told.map((vote) => vote.commitMax)))
    return {
      kind: 'ready',
      headers: chain,
      commitMax: Math.max(known, head - pipelineMax, headerOp(base)),
      lossEpoch: 1 + epoch,
    }
  }
}

/** An op that somebody can show, and that follows from the base by ops that somebody can show. */
interface Link {
  readonly header: Header
  /** The last view in whose log it certainly stands. */
  logView: number
  readonly previous: Link | null
}

/**
 * Head first. The log of a later view holds every op that an earlier one has committed, so the longest that the latest shows
 * comes first, and then whatever follows it elsewhere. What a power cut brought back, of before the slot was written anew, and
 * what a replica has not had replaced yet of the log before, is a branch on which nothing grows; what a replica has executed is
 * right, whoever shows something else. And an op of before the latest view that its log does not have was dropped when that view
 * began: it must not come back in the place of one that was acknowledged since, and is lost.
 */
function longestLog(votes: readonly ColdVote[], base: Header, certain: readonly Header[]): Header[] {
  const executed = new Map(certain.map((header) => [headerOp(header), header]))
  const links: Link[] = []
  let layer: Link[] = []
  for (let op = headerOp(base) + 1; ; op++) {
    const next = layerOf(votes, op, layer, base, executed.get(op) ?? null)
    if (next.length === 0) break
    links.push(...next)
    layer = next
  }
  const latest = Math.max(...links.map(({ logView }) => logView))
  const trunk = longest(links.filter(({ logView }) => logView === latest))
  const head = longest(trunk === null ? links : links.filter((link) => descends(link, trunk)))
  const headers: Header[] = []
  for (let link = head; link !== null; link = link.previous) headers.push(link.header)
  return headers
}

/** The ops with this number that follow one of `below`. */
function layerOf(
  votes: readonly ColdVote[],
  op: number,
  below: readonly Link[],
  base: Header,
  executed: Header | null,
): Link[] {
  const layer: Link[] = []
  for (const vote of votes) {
    const header = vote.headers.get(op)
    if (header === undefined) continue
    if (executed === null ? isDropped(votes, op, header) : !sameHeader(executed, header)) continue
    const linked = op >= vote.chainedFrom || op <= headerOp(vote.executed)
    const logView = linked ? vote.logView : headerView(header)
    const known = layer.find((link) => sameHeader(link.header, header))
    if (known !== undefined) {
      known.logView = Math.max(known.logView, logView)
      continue
    }
    const previous = below.find((link) => isParent(link.header, header)) ?? null
    if (previous === null && !(op === headerOp(base) + 1 && isParent(base, header))) continue
    layer.push({ header, logView, previous })
  }
  return layer
}

/** Does a log of the latest view end before this op of an earlier one, or have another in its place? */
function isDropped(votes: readonly ColdVote[], op: number, header: Header): boolean {
  const latest = Math.max(...votes.map(({ logView }) => logView))
  if (headerView(header) >= latest) return false
  return votes.some((vote) => {
    if (vote.logView < latest || op < vote.suffixFrom) return false
    const own = vote.headers.get(op) ?? vote.named.get(op)
    return op > vote.head || own === undefined || !sameHeader(own, header)
  })
}

function longest(links: readonly Link[]): Link | null {
  let best: Link | null = null
  for (const link of links) {
    const order =
      best === null
        ? 1
        : headerOp(link.header) - headerOp(best.header) ||
          link.logView - best.logView ||
          headerView(link.header) - headerView(best.header)
    if (order > 0) best = link
  }
  return best
}

function descends(link: Link, from: Link): boolean {
  for (let at: Link | null = link; at !== null; at = at.previous) if (at === from) return true
  return false
}
