// Four copies of the superblock on three nodes, corrupt in all 4,096 ways. A node with two good copies starts and writes the
// others again; one with fewer refuses to start, because nobody else knows what it promised. Two nodes are a cluster.
import assert from 'node:assert/strict'
import { SUPERBLOCK_COPIES, Superblock } from '../../../storage/superblock.ts'
import { Cluster } from '../scenarios/scenario.ts'
import { NODES, OPTIONS, type Past } from './journal-matrix.ts'

/** Bit `4 · node + copy` of `bits`: that copy is corrupt. */
export function runSuperblocks(past: Past, bits: number): 'served' | 'refused' {
  const cluster = new Cluster(OPTIONS, past.cluster)
  const good: number[] = []
  for (let node = 0; node < NODES; node++) {
    const copies = [0, 1, 2, 3].filter((copy) => (bits & (1 << (SUPERBLOCK_COPIES * node + copy))) !== 0)
    cluster.corruptSuperblock(node, ...copies)
    const opens = opened(cluster, node)
    assert.equal(opens, SUPERBLOCK_COPIES - copies.length >= 2 ? 'ok' : 'corrupt')
    if (opens === 'ok') good.push(node)
  }
  cluster.restart(...good)
  const [client] = cluster.clients
  const served = good.length >= 2
  if (served) cluster.request()
  else {
    client?.ask()
    cluster.run(1500)
    client?.resend()
    cluster.run(100)
    assert.ok(client?.idle === false, 'one node of three served a request')
  }
  for (const node of good)
    assert.equal(cluster.node(node).superblock?.repairedCopies, 0, 'repaired when it was opened first')
  assert.deepEqual(cluster.world.halts, [])
  cluster.world.release()
  return served ? 'served' : 'refused'
}

/** What a process finds, and repairs. */
function opened(cluster: Cluster, index: number): string {
  const { disk } = cluster.node(index)
  const allocate = (size: number): { buffer: ArrayBuffer; offset: number } => ({
    buffer: new ArrayBuffer(size),
    offset: 0,
  })
  let result = ''
  new Superblock(disk, cluster.world.checksummer, { allocate }).open((outcome) => {
    result = outcome
  })
  cluster.until(() => result !== '', 'the superblock')
  return result
}
