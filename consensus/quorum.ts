// Quorum arithmetic, and the choice of a new view's log out of DoViewChange messages.
//
// Replicas are 1, 3 or 5, so every quorum is a majority: replication + view change > R, and
// nack + replication > R: as many replicas as that cannot all be outside a replication quorum.
import { assert } from '../src/protocol/assert.ts'
import { At, getU64 } from '../src/protocol/frame.ts'
import { type Header, headerOp, isReserved, sameHeader } from '../storage/header.ts'
import { isLater, type Member } from '../storage/member.ts'

export function majority(replicaCount: number): number {
  return (replicaCount >>> 1) + 1
}

export function quorums(replicaCount: number): { replication: number; viewChange: number; nack: number } {
  const replication = majority(replicaCount)
  return { replication, viewChange: replicaCount - replication + 1, nack: replicaCount - replication + 1 }
}

/** What one replica says about the end of its log when a view is left. */
export interface DoViewChange {
  readonly replica: number
  readonly logView: number
  /** Head of the log. */
  readonly op: number
  readonly commitMin: number
  readonly commitMax: number
  readonly checkpointOp: number
  /** How often, as far as the sender knows, the cluster has gone on without what it may have acknowledged. */
  readonly lossEpoch: number
  /** The losses that what it has executed counts: more than its log does after a state transfer. */
  readonly executedEpoch: number
  /** Head first, one for every op down to one that the sender knows to be committed; unknown ones are reserved headers. */
  readonly headers: readonly Header[]
  /** Bit i: the prepare of headers[i] can be read at the sender. */
  readonly present: (index: number) => boolean
  /** Bit i: the sender certainly never held headers[i]'s op durably. */
  readonly nack: (index: number) => boolean
}

export interface Vote extends DoViewChange {
  /** The directory that speaks, and those that the sender counts, by replica. */
  readonly instance: number
  readonly members: readonly Member[]
}

/**
 * Without those of directories that have lost their place: what a lost one promised counts no more once a quorum of the others
 * has given its place away, and at least one of these speaks in every view change.
 */
export function withoutReplaced(votes: readonly Vote[]): readonly Vote[] {
  return votes.filter((vote) => {
    let holder: Member | undefined
    for (const { members } of votes) {
      const member = members[vote.replica]
      if (member && member.instance !== 0 && (holder === undefined || isLater(member, holder))) holder = member
    }
    return holder === undefined || holder.instance === vote.instance
  })
}

export interface Undecided {
  readonly op: number
  /** When anybody knows it. */
  readonly header: Header | null
}

export type ViewChangeOutcome =
  /** Not enough messages, or an op that one of the missing replicas must decide. */
  | { readonly kind: 'wait'; readonly undecided: Undecided | null }
  /** Everybody spoke and still nobody can know: a halt that keeps the data. */
  | { readonly kind: 'stuck'; readonly op: number }
  /** The log: headers head first, without gaps, down to an op that is committed. */
  | { readonly kind: 'ready'; readonly headers: readonly Header[]; readonly commitMax: number }

/**
 * The canonical log is that of the highest log_view. An op at its end goes only when a nack quorum certainly never held
 * it; an op that may have been acknowledged and that nobody can show is waited for. `lazy`: what was acknowledged may be lost, so
 * one that is known to be committed is, too.
 */
export function chooseLog(
  messages: readonly DoViewChange[],
  replicaCount: number,
  pipelineMax: number,
  lazy = false,
): ViewChangeOutcome {
  const quorum = quorums(replicaCount)
  if (messages.length < quorum.viewChange) return { kind: 'wait', undecided: null }
  const logView = Math.max(...messages.map((m) => m.logView))
  const canonical = messages.filter((m) => m.logView === logView)
  const opMax = Math.max(...canonical.map((m) => m.op))
  let opMin = 0
  let commitMax = 0
  const lossEpoch = Math.max(...canonical.map((m) => m.lossEpoch))
  for (const m of messages) {
    if (m.executedEpoch >= lossEpoch) {
      opMin = Math.max(opMin, m.commitMin)
      commitMax = Math.max(commitMax, m.commitMin)
    }
    // What it knows to be committed is what the others went on without.
    if (m.lossEpoch < lossEpoch) continue
    const last = m.headers[m.headers.length - 1] as Header
    const head = m.headers[0] as Header
    assert(headerOp(head) === m.op, 'doViewChange does not begin at its head')
    const headCommit = isReserved(head) ? 0 : getU64(head, At.prepare.commit)
    opMin = Math.max(opMin, headerOp(last), m.op - pipelineMax, m.commitMin, headCommit)
    commitMax = Math.max(commitMax, m.commitMax, headCommit)
  }
  // An op that is committed is in the canonical log, whichever message told that it is.
  opMin = Math.min(opMin, opMax)
  const chosen: Header[] = []
  for (let op = opMin; op <= opMax; op++) {
    const header = canonicalHeader(canonical, op)
    let copies = 0
    let nacks = 0
    for (const m of messages) {
      if (m.op < op) {
        nacks += 1
        continue
      }
      const index = m.op - op
      const own = m.headers[index]
      if (own === undefined) continue
      const known = !isReserved(own)
      if (known && header !== null && sameHeader(own, header) && m.present(index)) copies += 1
      if (m.nack(index)) nacks += 1
      else if (known && (header === null || !sameHeader(own, header))) {
        assert(m.logView < logView, 'two logs of one view differ')
        nacks += 1
      }
    }
    if (op > opMin && op > commitMax && nacks >= quorum.nack) break
    // The op at the lower bound is committed: its prepare is repaired after the view has started.
    const sure = op === opMin && (!lazy || messages.some((m) => m.commitMin >= op && m.executedEpoch >= lossEpoch))
    if (header === null || (copies === 0 && !sure)) {
      return messages.length < replicaCount ? { kind: 'wait', undecided: { op, header } } : { kind: 'stuck', op }
    }
    chosen.unshift(header)
  }
  return { kind: 'ready', headers: chosen, commitMax: Math.max(commitMax, opMin) }
}

function canonicalHeader(canonical: readonly DoViewChange[], op: number): Header | null {
  let found: Header | null = null
  for (const m of canonical) {
    const header = m.headers[m.op - op]
    if (header === undefined || isReserved(header)) continue
    assert(found === null || sameHeader(found, header), 'two logs of one view differ')
    found = header
  }
  return found
}
