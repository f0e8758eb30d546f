// How a stream, topic, group or consumer is named on the wire: by number or by name.
//
//   | off | size | field                          |
//   |   0 |   1  | kind: 1 number, 2 name         |
//   |   1 |   1  | length: 4, or 1..255           |
//   |   2 |  ... | u32, or UTF-8                  |
import { ProtocolError, type Reader, type Writer } from './bytes.ts'
import { Status } from './errors.ts'

/** A number is an id, a string a name; "7" is a name. */
export type Identifier = number | string

const KIND_NUMBER = 1
const KIND_NAME = 2

export function writeIdentifier(writer: Writer, identifier: Identifier): void {
  if (typeof identifier === 'string') {
    writer.u8(KIND_NAME).name(identifier)
    return
  }
  if (!Number.isInteger(identifier) || identifier < 0 || identifier > 0xffff_ffff) {
    throw new ProtocolError(
      Status.invalidIdentifier,
      `${identifier} is no id; an id is a whole number from 0 to 4294967295`,
    )
  }
  writer.u8(KIND_NUMBER).u8(4).u32(identifier)
}

export function readIdentifier(reader: Reader): Identifier {
  const kind = reader.u8()
  if (kind === KIND_NAME) return reader.name()
  if (kind !== KIND_NUMBER) throw new ProtocolError(Status.invalidCommand, `identifier of unknown kind ${kind}`)
  const length = reader.u8()
  if (length !== 4) throw new ProtocolError(Status.invalidCommand, `a numeric identifier has 4 bytes, not ${length}`)
  return reader.u32()
}
