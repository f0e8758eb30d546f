// Moves a consumer group to another place of its topic: looked at first, then stored partition by partition.
import type { GroupRequest } from '../protocol/commands/get-consumer-group.ts'
import type { Client } from './client.ts'
import { GalgoError } from './errors.ts'
import { groupLag, type PartitionLag } from './group-lag.ts'

/** `first` and `last` are the two ends: everything again, and only what comes from now on. */
export type SeekTarget = 'first' | 'last' | { readonly offset: number } | { readonly time: Date }

export interface SeekOptions {
  readonly to: SeekTarget
  /** All when absent. */
  readonly partition?: number
  /** Only say what would be. */
  readonly dryRun?: boolean
}

export interface Seek {
  readonly partition: number
  /** Offset of the next message that the group gets: before, and after. */
  readonly from: number
  readonly to: number
}

/**
 * No member may own a partition that is moved: refused with status 5009, by then the partitions before it have moved. An offset
 * beyond the end of a partition is its end.
 */
export async function seekGroup(client: Client, place: GroupRequest, options: SeekOptions): Promise<Seek[]> {
  const { partitions } = await groupLag(client, place)
  const chosen = partitions.filter(({ partition }) => partition === (options.partition ?? partition))
  if (chosen.length === 0)
    throw new GalgoError(
      'invalid-argument',
      `the topic has no partition ${options.partition}; it has ${partitions.length}`,
    )
  const seeks = await Promise.all(
    chosen.map(async (row): Promise<Seek> => {
      const to = await target(client, place, options.to, row)
      return { partition: row.partition, from: nextOf(row), to: Math.min(to, row.endOffset) }
    }),
  )
  if (options.dryRun === true) return seeks
  for (const { partition, from, to } of seeks) {
    const at = { ...place, partition }
    if (to === from) continue
    if (to === 0) await client.deleteOffset(at)
    else await client.storeOffset(at, to - 1)
  }
  return seeks
}

function nextOf({ storedOffset }: PartitionLag): number {
  return storedOffset === null ? 0 : storedOffset + 1
}

async function target(
  client: Client,
  { stream, topic }: GroupRequest,
  to: SeekTarget,
  { partition, endOffset }: PartitionLag,
): Promise<number> {
  if (to === 'first') return 0
  if (to === 'last') return endOffset
  if ('offset' in to) return to.offset
  const from = { kind: 'timestamp', micros: to.time.getTime() * 1000 } as const
  const { messages } = await client.poll({ stream, topic, partition, from, count: 1, consistency: 'primary' })
  return messages[0]?.offset ?? endOffset
}
