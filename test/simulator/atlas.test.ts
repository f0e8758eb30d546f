// What may be damaged: never the last copy of anything.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Atlas } from '../../simulator/atlas.ts'
import { Cluster } from './scenarios/scenario.ts'

const SEGMENT = 'streams/0.1/topics/0.2/partitions/0.2/00000000000000000000.log'
const { geometry } = new Cluster().node(0)
const BROKEN = 2

function newAtlas(holding: readonly number[]): Atlas {
  return new Atlas(geometry, [BROKEN], false, (replica) => holding.includes(replica))
}

test('of three copies of a record one may be damaged, whoever has it', () => {
  for (const first of [0, 1, 2]) {
    const atlas = newAtlas([0, 1, 2])
    assert.ok(atlas.may(first, SEGMENT, 3, 1, 'bad'))
    atlas.note(first, SEGMENT, 3, 1, 'bad')
    for (const other of [0, 1, 2]) assert.equal(atlas.may(other, SEGMENT, 3, 1, 'stale'), other === first)
    atlas.landed(first, SEGMENT, 3)
    assert.ok(atlas.may((first + 1) % 3, SEGMENT, 3, 1, 'stale'))
  }
})

test('a replica that is not broken loses nothing while no other such one holds all: the broken one may have lost it, too', () => {
  for (const holding of [[], [0], [0, BROKEN]]) assert.ok(!newAtlas(holding).may(0, SEGMENT, 3, 1, 'stale'))
  assert.ok(newAtlas([1]).may(0, SEGMENT, 3, 1, 'stale'))
  assert.ok(newAtlas([]).may(BROKEN, SEGMENT, 3, 1, 'stale'))
})
