// Everything that a picture of a stage shows, as plain values.
import type { StateMachine } from '../../src/state/state-machine.ts'
import type { SimNode } from '../node.ts'
import { type Cell, cellsOf } from './cells.ts'
import type { Flight } from './flights.ts'
import type { Stage, Verdict } from './stage.ts'

export type Role = 'primary' | 'backup' | 'voting' | 'recovering' | 'starting' | 'down' | 'paused'

export interface ReplicaPicture {
  readonly index: number
  readonly role: Role
  readonly view: number
  readonly op: number
  readonly commit: number
  readonly checkpoint: number
  readonly cells: readonly Cell[]
  readonly isolated: boolean
  /** Messages that it stores, and bytes of their segments. */
  readonly messages: number
  readonly bytes: number
  /** Writes of the journal that are under way. */
  readonly writing: number
  readonly bytesWritten: number
  readonly syncs: number
  /** What is known to be damaged, or is and nobody knows. */
  readonly trouble: readonly string[]
}

export interface Snapshot {
  readonly now: number
  readonly hash: string
  readonly events: number
  readonly replicas: readonly ReplicaPicture[]
  readonly clients: readonly { readonly index: number; readonly answered: number; readonly waiting: number }[]
  readonly flights: readonly Flight[]
  /** Directed links that carry nothing. */
  readonly cuts: readonly (readonly [from: number, to: number])[]
  readonly verdict: Verdict
  readonly acknowledged: number
  readonly verified: number
  readonly committed: number
  /** Why nothing can be accepted now; null while a primary can. */
  readonly standstill: string | null
}

export function takeSnapshot(stage: Stage): Snapshot {
  const { world } = stage
  const { nodes, network } = world
  const committed = world.history.length
  const cuts = nodes.flatMap(({ index: from }) =>
    nodes.filter(({ index: to }) => network.isCut(from, to)).map(({ index: to }) => [from, to] as const),
  )
  return {
    now: stage.now,
    hash: world.hash.toString(16).padStart(8, '0'),
    events: world.scheduler.events,
    replicas: nodes.map((node) => picture(stage, node, committed)),
    clients: world.clients.map(({ index, answered, unanswered }) => ({ index, answered, waiting: unanswered.length })),
    flights: stage.flights.at(stage.now),
    cuts,
    verdict: stage.verdict,
    acknowledged: world.acknowledged.count,
    verified: stage.auditor.verified,
    committed,
    standstill: standstill(stage),
  }
}

function picture(stage: Stage, node: SimNode, committed: number): ReplicaPicture {
  const { replica, disk, journal } = node
  const spoiled = stage.damage.of(node)
  const rotten = new Set(spoiled.flatMap(({ slot }) => (slot === null ? [] : [slot])))
  const { messages, bytes } = totals(node.opened ? stage.machines.get(node) : undefined)
  const trouble = spoiled.map(({ what }) => `flipped bits in ${what}`)
  const known = journal?.faultyCount ?? 0
  if (known > 0) trouble.push(`${known} damaged slot${known === 1 ? '' : 's'} to repair`)
  if (replica?.transfer) trouble.push('takes a checkpoint from another replica')
  else if (replica?.tooFarBehind) trouble.push('needs a checkpoint from another replica')
  if ((replica?.segmentRepairs.damaged ?? 0) > 0) trouble.push('a segment to repair')
  return {
    index: node.index,
    role: roleOf(node, stage.now),
    view: replica?.view ?? 0,
    op: replica?.op ?? 0,
    commit: replica?.commitMin ?? 0,
    checkpoint: replica?.checkpointOp ?? 0,
    cells: cellsOf(node, rotten, committed),
    isolated: stage.isIsolated(node.index),
    messages,
    bytes,
    writing: journal?.busy ?? 0,
    bytesWritten: disk.written.bytes,
    syncs: disk.written.syncs,
    trouble,
  }
}

function totals(machine: StateMachine | undefined): { messages: number; bytes: number } {
  return machine?.totals() ?? { messages: 0, bytes: 0 }
}

function roleOf({ alive, opened, replica, pausedUntil }: SimNode, now: number): Role {
  if (!alive) return 'down'
  if (pausedUntil > now) return 'paused'
  if (!opened || replica === null) return 'starting'
  if (replica.isPrimary) return 'primary'
  if (replica.status === 'view_change') return 'voting'
  if (replica.status === 'normal') return replica.primaryIndex === replica.index ? 'voting' : 'backup'
  return 'recovering'
}

/** A primary, and a majority that hears it. */
function standstill(stage: Stage): string | null {
  const up = stage.world.nodes.filter((node) => node.alive && node.pausedUntil <= stage.now)
  const majority = Math.floor(stage.replicas / 2) + 1
  if (up.length < majority)
    return `${up.length} of ${stage.replicas} replicas run; nothing is accepted without ${majority}`
  return stage.world.primary() === null ? 'no primary now; the replicas are choosing one' : null
}
