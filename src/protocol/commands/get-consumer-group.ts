// get consumer group: NonReplicated, code 600.
//
//   request                          reply; empty when there is no such group
//   | size | field          |        | size | field                                          |
//   |  ... | stream         |        |  ... | group record                                   |
//   |  ... | topic          |        |   4  | member                                         |
//   |  ... | group          |        |   4  | number of partitions that it owns              |
//                                    |   4x | partition                                      |
//                                      members repeat, as many as the group record says
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'
import { type GroupRecord, readGroup, writeGroup } from './group-record.ts'

const MEMBER_SIZE_MIN = 8

export interface GroupRequest {
  readonly stream: Identifier
  readonly topic: Identifier
  readonly group: Identifier
}

export interface GroupMember {
  readonly id: number
  /** That it may poll now. */
  readonly partitions: readonly number[]
}

export interface GroupDetails extends Omit<GroupRecord, 'membersCount'> {
  readonly members: readonly GroupMember[]
}

export function encodeGetConsumerGroup(writer: Writer, request: GroupRequest): void {
  writeIdentifier(writer, request.stream)
  writeIdentifier(writer, request.topic)
  writeIdentifier(writer, request.group)
}

export function decodeGetConsumerGroup(reader: Reader): GroupRequest {
  const request = { stream: readIdentifier(reader), topic: readIdentifier(reader), group: readIdentifier(reader) }
  reader.finish()
  return request
}

export function writePartitions(writer: Writer, partitions: readonly number[]): void {
  writer.u32(partitions.length)
  for (const partition of partitions) writer.u32(partition)
}

export function readPartitions(reader: Reader): number[] {
  const count = reader.count(4)
  const partitions: number[] = []
  for (let i = 0; i < count; i++) partitions.push(reader.u32())
  return partitions
}

export function encodeGroupReply(writer: Writer, details: GroupDetails): void {
  const { members, ...record } = details
  writeGroup(writer, { ...record, membersCount: members.length })
  for (const { id, partitions } of members) {
    writer.u32(id)
    writePartitions(writer, partitions)
  }
}

/** null: there is no such group. */
export function decodeGroupReply(reader: Reader): GroupDetails | null {
  if (reader.remaining === 0) return null
  const { membersCount, ...record } = readGroup(reader)
  if (membersCount * MEMBER_SIZE_MIN > reader.remaining)
    throw new ProtocolError(Status.invalidFormat, `${membersCount} members do not fit in the reply`)
  const members: GroupMember[] = []
  for (let i = 0; i < membersCount; i++) members.push({ id: reader.u32(), partitions: readPartitions(reader) })
  reader.finish()
  return { ...record, members }
}
