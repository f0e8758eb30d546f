// Who reads: a single consumer or a consumer group.
//
//   | off | size | field                          |
//   |   0 |   1  | kind: 1 consumer, 2 group      |
//   |   1 |  ... | Identifier                     |
//
// In requests that name a partition it is `[given u8: 0|1][partition u32]`; a consumer that gives none means partition 0.
import { ProtocolError, type Reader, utf8Encode, type Writer } from './bytes.ts'
import { Status } from './errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from './identifier.ts'
import { xxh32 } from './xxh32.ts'

export interface Consumer {
  readonly kind: 'consumer' | 'group'
  readonly id: Identifier
}

export function writeConsumer(writer: Writer, consumer: Consumer): void {
  writer.u8(consumer.kind === 'consumer' ? 1 : 2)
  writeIdentifier(writer, consumer.id)
}

export function readConsumer(reader: Reader): Consumer {
  const kind = reader.u8()
  if (kind !== 1 && kind !== 2) throw new ProtocolError(Status.invalidCommand, `consumer of unknown kind ${kind}`)
  return { kind: kind === 1 ? 'consumer' : 'group', id: readIdentifier(reader) }
}

/** The number under which a single consumer's offsets are kept: its id, or the xxHash32 of its name. */
export function consumerNumber(id: Identifier): number {
  if (typeof id === 'number') return id
  const bytes = utf8Encode(id)
  return xxh32(bytes, 0, bytes.length, 0)
}

export function writePartition(writer: Writer, partition: number | null): void {
  writer.bool(partition !== null).u32(partition ?? 0)
}

export function readPartition(reader: Reader): number | null {
  const given = reader.bool()
  const partition = reader.u32()
  return given ? partition : null
}
