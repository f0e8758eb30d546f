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
import { type Header, headerOp, headerView, isParent, sameHeader } from '../storage/header.ts'

export interface ColdVote {
  readonly replica: number
  readonly logView: number
  readonly commitMax: number
  /** Everything up to here was certainly durable at this replica once. */
  readonly durableOp: number
  readonly lossEpoch: number
  /** The last op that its journal can hold. */
  readonly end: number
  /** The first op that is not told yet; beyond `end` when all is. */
  next: number
  /** By op: those whose prepares can be read there. */
  readonly headers: Map<number, Header>
}

export type ColdOutcome =
  | { readonly kind: 'wait' }
  /** Synced once, and nobody has it any more. */
  | { readonly kind: 'missing'; readonly op: number }
  | {
      readonly kind: 'ready'
      /** Head first, from the end of the log down to the first op above the base. */
      readonly headers: readonly Header[]
      readonly commitMax: number
      readonly lossEpoch: number
    }

export class ColdStart {
  readonly view: number
  readonly #votes = new Map<number, ColdVote>()
  readonly #needed: number

  /** `needed`: votes to wait for. */
  constructor(view: number, needed: number) {
    this.view = view
    this.#needed = needed
  }

  vote(replica: number): ColdVote | undefined {
    return this.#votes.get(replica)
  }

  add(vote: ColdVote): void {
    this.#votes.set(vote.replica, vote)
  }

  /** The log above `base`, an op that is executed at the coordinator. */
  decide(base: Header, pipelineMax: number): ColdOutcome {
    const votes = [...this.#votes.values()]
    if (votes.length < this.#needed || votes.some((vote) => vote.next <= vote.end)) return { kind: 'wait' }
    const chain: Header[] = []
    for (let last = base; ; ) {
      const header = successor(votes, last)
      if (header === null) break
      chain.unshift(header)
      last = header
    }
    const head = headerOp(chain[0] ?? base)
    const synced = Math.max(...votes.map((vote) => vote.durableOp))
    if (head < synced) return { kind: 'missing', op: head + 1 }
    const known = Math.min(head, Math.max(...votes.map((vote) => vote.commitMax)))
    return {
      kind: 'ready',
      headers: chain,
      commitMax: Math.max(known, head - pipelineMax, headerOp(base)),
      lossEpoch: 1 + Math.max(...votes.map((vote) => vote.lossEpoch)),
    }
  }
}

/**
 * The op that follows `last`, of all that anybody can show. The log of a later view holds every op that an earlier one has
 * committed, so where two differ, whoever was in the later view is right.
 */
function successor(votes: readonly ColdVote[], last: Header): Header | null {
  const op = headerOp(last) + 1
  let best: { readonly header: Header; readonly logView: number } | null = null
  for (const { headers, logView } of votes) {
    const header = headers.get(op)
    if (header === undefined || !isParent(last, header)) continue
    const better =
      best === null ||
      logView > best.logView ||
      (logView === best.logView && !sameHeader(header, best.header) && headerView(header) > headerView(best.header))
    if (better) best = { header, logView }
  }
  return best?.header ?? null
}
