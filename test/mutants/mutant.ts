// What a defect is: text of the source that something else takes the place of, and who has to notice.

/** Seeds from 1 to `of`, beginning with one that failed when it was last looked: all others run only when it holds. */
export interface Seeds {
  readonly first: number
  readonly of: number
}

export interface Mutant {
  readonly name: string
  /** Path, text, and what takes its place. */
  readonly changes: readonly (readonly [file: string, text: string, instead: string])[]
  /**
   * Seeds from 1 on, one of which fails; or a file of directed scenarios of which one does, `file` or `file: part of its name`; or
   * another test by its path below `test/`.
   */
  readonly seeds: number | Seeds | string
  /** Of seeds: three replicas, and only these faults happen, with commas. Everything that a seed draws when absent. */
  readonly faults?: string
  /** Of seeds: so many members of consumer groups; none when absent. */
  readonly members?: number
  /** Of seeds with `faults`: so many clients that read, through doors that others come through too; none when absent. */
  readonly readers?: number
  /** Of seeds: clients ask for every operation; not when absent. */
  readonly operations?: boolean
}

export const REPLICA = 'consensus/replica.ts'
export const QUORUM = 'consensus/quorum.ts'
export const JOURNAL = 'storage/journal.ts'
export const SUPERBLOCK = 'storage/superblock.ts'

export function mutant(name: string, seeds: Mutant['seeds'], ...changes: Mutant['changes']): Mutant {
  return { name, seeds, changes }
}
