// The same seed is the same run: in another process, without the optimizing compiler, and with the checksums of real disks.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runSeed } from '../../simulator/swarm.ts'
import { createChecksummer } from '../../src/protocol/checksum.ts'
import { runNode } from '../integration/processes.ts'

/** Without calm spells: the slowest way to run them is ten times slower. */
const SEEDS = [17, 42, 45]
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

async function hashes(flags: readonly string[]): Promise<string[]> {
  const runs = SEEDS.map(async (seed) => {
    const { out, err, code } = await runNode(
      [...flags, 'src/cli/main.ts', 'sim', '--seed', String(seed), '--steady', '--format', 'json'],
      { cwd: ROOT },
    )
    assert.equal(code, 0, err)
    return out
  })
  return await Promise.all(runs)
}

test('two processes, one of them without the optimizing compiler, run the same seeds to the same hashes', async () => {
  const usual = await hashes([])
  assert.deepEqual(await hashes(['--no-opt', '--no-sparkplug', '--lazy-feedback-allocation']), usual)
  assert.equal(new Set(usual.map((out) => (JSON.parse(out) as { hash: number }).hash)).size, SEEDS.length)
})

test('what checksums are made of changes nothing of a run', () => {
  const checksummer = createChecksummer()
  for (const seed of SEEDS.slice(0, 2)) assert.deepEqual(runSeed({ seed, checksummer }), runSeed({ seed }))
})
