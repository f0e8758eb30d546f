// What scenarios of durability `memory` have in common: losses, and checkpoints that are not everywhere.
import assert from 'node:assert/strict'
import { Command } from '../../../src/protocol/frame.ts'
import { checkpointFile } from '../../../storage/checkpoint-store.ts'
import type { Cluster, ClusterOptions } from './scenario.ts'

export const MEMORY: ClusterOptions = { durability: 'memory' }

/** Sessions end with what they may have been told: everybody who was there is gone. */
export function forgetClients(cluster: Cluster): void {
  for (const client of cluster.clients.slice()) cluster.forget(client)
}

/** These lose their power and, with it, the ops; told to accept that, they go on. Sessions end with it. */
export function goOnWithout(cluster: Cluster, ops: readonly number[], ...indexes: number[]): void {
  cluster.powerOff(...indexes)
  for (const index of indexes) {
    cluster.erase(index, ...ops)
    cluster.node(index).acceptLoss = true
  }
  cluster.restart(...indexes)
  cluster.until(() => cluster.world.primary() !== null, 'a primary')
  forgetClients(cluster)
}

/** All ops from one to the other. */
export function opsFrom(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}

/** A replica that is down has neither its newest checkpoint nor this op of those since the one before. */
export function spoilCheckpoint(cluster: Cluster, index: number, checkpoint: number, op: number): void {
  cluster.node(index).disk.corrupt(checkpointFile(checkpoint), 0)
  rot(cluster, index, op)
}

/** Bit rot in what was acknowledged, which the checkers have to know of. */
export function rot(cluster: Cluster, index: number, op: number): void {
  cluster.world.promises.rotten.add(`${index} ${op}`)
  cluster.corruptPrepare(index, op)
}

/** From now on this one does not tell how far it is: to one other, or to anybody. */
export function hideProgress(cluster: Cluster, from: number, to?: number): void {
  for (const command of [Command.commit, Command.ping, Command.pong])
    cluster.drop({ from, command, ...(to !== undefined && { to }) })
}

/** Every fourth op is a checkpoint: only the primary has executed this one, so only its checkpoint counts it. `others` may not be all. */
export function checkpointOfOne(cluster: Cluster, others: readonly number[], ms = 100): number {
  const [primary] = cluster.roles()
  let op = cluster.request()
  while (op % 4 !== 3) op = cluster.request()
  cluster.run(300)
  hideProgress(cluster, primary)
  op = cluster.request()
  cluster.run(ms)
  assert.deepEqual(
    [primary, ...others].map((index) => cluster.replica(index).checkpointOp),
    [op, ...others.map(() => op - 4)],
  )
  return op
}

/** Who has stopped, and why. */
export function haltsOf(cluster: Cluster): [number, string][] {
  return cluster.world.halts.map(({ replica, reason }) => [replica, reason])
}
