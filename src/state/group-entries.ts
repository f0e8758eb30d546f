// Ops about consumers and their groups that the primary puts into the log by itself.
//
//   remove member, 66              complete revocation, 67        store polled offset, 72
//   | size | field    |            | size | field          |      | size | field                                            |
//   |   8  | session  |            |   8  | group: its op  |      |   8  | session of the member that polled; 0: no member  |
//                                  |   4  | partition      |      |   8  | its grant; of no member: op of the partition     |
//                                  |   8  | its grant      |      |  ... | as store consumer offset                         |
import type { Reader, Writer } from '../protocol/bytes.ts'
import {
  decodeStoreConsumerOffset,
  encodeStoreConsumerOffset,
  type StoreConsumerOffset,
} from '../protocol/commands/store-consumer-offset.ts'

/** Nothing was heard of the session for too long: it is no member of any group any more. */
export interface MemberEnd {
  readonly session: number
}

export function encodeMemberEnd(writer: Writer, { session }: MemberEnd): void {
  writer.u64(session)
}

export function decodeMemberEnd(reader: Reader): MemberEnd {
  const entry = { session: reader.u64() }
  reader.finish()
  return entry
}

/** The owner of a partition has stored what it polled, or had its time: the partition goes to its heir. */
export interface Revocation {
  readonly groupOp: number
  readonly partition: number
  readonly granted: number
}

export function encodeRevocation(writer: Writer, { groupOp, partition, granted }: Revocation): void {
  writer.u64(groupOp).u32(partition).u64(granted)
}

export function decodeRevocation(reader: Reader): Revocation {
  const entry = { groupOp: reader.u64(), partition: reader.u32(), granted: reader.u64() }
  reader.finish()
  return entry
}

/** The auto-commit of a poll. */
export interface PolledOffset {
  /** Of the member; 0: a single consumer's. */
  readonly session: number
  /** By which the partition is the member's; for a single consumer, the op that made the partition. */
  readonly granted: number
  readonly request: StoreConsumerOffset
}

export function encodePolledOffset(writer: Writer, { session, granted, request }: PolledOffset): void {
  writer.u64(session).u64(granted)
  encodeStoreConsumerOffset(writer, request)
}

export function decodePolledOffset(reader: Reader): PolledOffset {
  return { session: reader.u64(), granted: reader.u64(), request: decodeStoreConsumerOffset(reader) }
}
