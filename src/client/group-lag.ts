// How far a consumer group is behind the ends of its partitions.
import type { GroupDetails, GroupRequest } from '../protocol/commands/get-consumer-group.ts'
import type { Client } from './client.ts'
import { GalgoError } from './errors.ts'

export interface PartitionLag {
  readonly partition: number
  /** Number of the member that may poll it; null when none may now. */
  readonly member: number | null
  /** Offset of the last message that the group is done with; null when there is none. */
  readonly storedOffset: number | null
  /** The offset that the next message will get. */
  readonly endOffset: number
  /** Messages after the stored offset that are still there. */
  readonly lag: number
}

export interface GroupLag {
  readonly group: GroupDetails
  readonly partitions: readonly PartitionLag[]
  /** Of all partitions together. */
  readonly lag: number
}

/** Asked one by one: while messages come and go, it is an approximation. */
export async function groupLag(client: Client, place: GroupRequest): Promise<GroupLag> {
  const { stream, topic, group: id } = place
  const [group, details] = await Promise.all([client.getGroup(stream, topic, id), client.getTopic(stream, topic)])
  if (group === null || details === null)
    throw new GalgoError('refused', `there is no group ${JSON.stringify(id)} in that topic`)
  const partitions = await Promise.all(
    details.partitions.map(async ({ id: partition, currentOffset, messagesCount }): Promise<PartitionLag> => {
      const stored = await client.getOffset({ stream, topic, partition, group: id })
      const storedOffset = stored?.storedOffset ?? null
      // An empty partition and one with a single message have the same newest offset.
      const newest = stored === null ? currentOffset : Math.max(currentOffset, stored.currentOffset)
      const endOffset = messagesCount === 0 && newest === 0 && storedOffset === null ? 0 : newest + 1
      const member = group.members.find(({ partitions: own }) => own.includes(partition))?.id ?? null
      // Of those that retention has removed, none will come any more.
      const lag = Math.min(messagesCount, endOffset - ((storedOffset ?? -1) + 1))
      return { partition, member, storedOffset, endOffset, lag }
    }),
  )
  return { group, partitions, lag: partitions.reduce((sum, { lag }) => sum + lag, 0) }
}
