// describe options: NonReplicated, code 13. Which options a resource takes.
//
//   request                                         reply
//   | size | field                          |       | size | field                     |     per option
//   |   1  | scope: 1 topic, 2 stream,      |       |   4  | number of options         |     | size | field                     |
//   |      | 3 user                         |       |  ... | options                   |     | 1+n  | key                       |
//                                                                                            |   1  | kind (user-headers.ts)    |
//                                                                                            | 4+n  | default, in that kind     |
//                                                                                            | 4+n  | description               |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import type { OptionDescription } from '../options.ts'

const SCOPES = { topic: 1, stream: 2, user: 3 } as const
export type OptionScope = keyof typeof SCOPES
const OPTION_SIZE_MIN = 11

export interface DescribeOptions {
  readonly scope: OptionScope
}

export function encodeDescribeOptions(writer: Writer, { scope }: DescribeOptions): void {
  writer.u8(SCOPES[scope])
}

export function decodeDescribeOptions(reader: Reader): DescribeOptions {
  const code = reader.u8()
  reader.finish()
  for (const [name, value] of Object.entries(SCOPES)) if (value === code) return { scope: name as OptionScope }
  throw new ProtocolError(Status.invalidCommand, `unknown scope of options ${code}`)
}

export function encodeDescribeOptionsReply(writer: Writer, options: readonly OptionDescription[]): void {
  writer.u32(options.length)
  for (const { key, kind, standard, description } of options)
    writer.name(key).u8(kind).u32(standard.length).copy(standard).text32(description)
}

export function decodeDescribeOptionsReply(reader: Reader): OptionDescription[] {
  const count = reader.count(OPTION_SIZE_MIN)
  const options: OptionDescription[] = []
  for (let i = 0; i < count; i++) {
    options.push({
      key: reader.name(),
      kind: reader.u8(),
      standard: reader.view(reader.u32()),
      description: reader.text32(),
    })
  }
  reader.finish()
  return options
}
