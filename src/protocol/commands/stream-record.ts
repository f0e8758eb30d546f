// A stream as replies carry it.
//
//   | size | field                                   |
//   |   4  | id                                      |
//   |   8  | created, µs since 1970                  |
//   |   4  | topics                                  |
//   |   8  | size                                    |
//   |   8  | messages                                |
//   | 1+n  | name                                    |
//   | 4+n  | options                                 |
import type { Reader, Writer } from '../bytes.ts'

export interface StreamRecord {
  readonly id: number
  /** µs since 1970. */
  readonly createdAt: number
  readonly topicsCount: number
  readonly size: number
  readonly messagesCount: number
  readonly name: string
  readonly options: Uint8Array
}

export function writeStream(writer: Writer, stream: StreamRecord): void {
  writer.u32(stream.id).u64(stream.createdAt).u32(stream.topicsCount).u64(stream.size).u64(stream.messagesCount)
  writer.name(stream.name).u32(stream.options.length).copy(stream.options)
}

export function readStream(reader: Reader): StreamRecord {
  return {
    id: reader.u32(),
    createdAt: reader.u64(),
    topicsCount: reader.u32(),
    size: reader.u64(),
    messagesCount: reader.u64(),
    name: reader.name(),
    options: reader.view(reader.u32()),
  }
}
