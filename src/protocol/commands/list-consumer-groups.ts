// list consumer groups: NonReplicated, code 601. Of one topic.
//
//   request                          reply: group records back to back; none when there is no such topic
//   | size | field          |
//   |  ... | stream         |
//   |  ... | topic          |
import type { Reader, Writer } from '../bytes.ts'
import { type GroupRecord, readGroup, writeGroup } from './group-record.ts'

export { decodeGetTopic as decodeListConsumerGroups, encodeGetTopic as encodeListConsumerGroups } from './get-topic.ts'

export function encodeListConsumerGroupsReply(writer: Writer, groups: readonly GroupRecord[]): void {
  for (const group of groups) writeGroup(writer, group)
}

export function decodeListConsumerGroupsReply(reader: Reader): GroupRecord[] {
  const groups: GroupRecord[] = []
  while (reader.remaining > 0) groups.push(readGroup(reader))
  return groups
}
