// A consumer group as replies carry it.
//
//   | size | field                     |
//   |   4  | id                        |
//   |   4  | partitions of the topic   |
//   |   4  | members                   |
//   | 1+n  | name                      |
import type { Reader, Writer } from '../bytes.ts'

export interface GroupRecord {
  readonly id: number
  readonly partitionsCount: number
  readonly membersCount: number
  readonly name: string
}

export function writeGroup(writer: Writer, group: GroupRecord): void {
  writer.u32(group.id).u32(group.partitionsCount).u32(group.membersCount).name(group.name)
}

export function readGroup(reader: Reader): GroupRecord {
  return { id: reader.u32(), partitionsCount: reader.u32(), membersCount: reader.u32(), name: reader.name() }
}
