// A simulator goes back to earlier states of a replica: nothing that changes may be left behind. A field that is new fails here
// until `memory` and `resume` know it, or it is named below as one that never changes.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

interface Remembering {
  readonly file: string
  readonly className: string
  /** Given once, and the parts that remember for themselves or have nothing to remember between two inputs. */
  readonly constant: readonly string[]
}

const CLASSES: readonly Remembering[] = [
  {
    file: 'consensus/replica.ts',
    className: 'Replica',
    constant: [
      'bus clock random log checksummer pool superblock journal checkpoints stateMachine host release protocolVersion',
      'serverVersion index replicaCount cluster quorum pipelineMax checkpointInterval execution reads sync segmentRepair',
      // Of durability `memory`, with which nothing is remembered.
      'lazy boot acceptLoss unproven cold coldSince coldDue syncedOp flushDue flushTurn flushing closing marking',
    ],
  },
  { file: 'consensus/checkpoint-digests.ts', className: 'CheckpointDigests', constant: ['options'] },
  {
    file: 'storage/journal.ts',
    className: 'Journal',
    constant: ['disk checksummer pool cluster slots frameSizeMax solo sectors sectorWords onFault lazy unsynced'],
  },
  {
    file: 'storage/superblock.ts',
    className: 'Superblock',
    constant: ['disk checksummer memory geometry words readBack readWords copySize unreadable onFault'],
  },
]

for (const { file, className, constant } of CLASSES) {
  test(`${className} remembers all that it knows`, () => {
    const source = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
    const body = source.slice(source.indexOf(`export class ${className} `))
    const declarations = body.slice(0, body.indexOf('\n  constructor('))
    const fields = [...declarations.matchAll(/^ {2}(?:readonly )?(#?\w+)(?:: | = )/gm)].map((match) => match[1] ?? '')
    const resume = /^ {2}resume\([\s\S]*?^ {2}\}$/m.exec(body)?.[0] ?? ''
    const known = new Set(constant.join(' ').split(' '))
    assert.ok(fields.length > known.size)
    for (const field of fields) {
      const name = field.replace('#', '')
      const resumed = new RegExp(`this\\.${field}\\b`).test(resume)
      assert.ok(resumed || known.has(name), `${className}.${field} is not resumed`)
    }
    for (const name of known)
      assert.ok(
        fields.some((field) => field.replace('#', '') === name),
        `${name} is no field`,
      )
  })
}
