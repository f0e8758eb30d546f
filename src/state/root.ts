// The op that makes the first user, root: the primary submits it before it answers the first login.
//
//   | size | field                |
//   | 1+n  | name                 |
//   | 1+n  | hash of the password |
import type { Reader, Writer } from '../protocol/bytes.ts'

export interface Root {
  readonly name: string
  readonly hash: string
}

export function encodeRoot(writer: Writer, root: Root): void {
  writer.name(root.name).text8(root.hash)
}

export function decodeRoot(reader: Reader): Root {
  const root = { name: reader.name(), hash: reader.text8() }
  reader.finish()
  return root
}
