// One body: its bytes, written out by hand, and what they mean.
import type { Reader, Writer } from '../../src/protocol/bytes.ts'
import { hex } from './bytes.ts'

export interface Golden<T = unknown> {
  readonly name: string
  readonly bytes: Uint8Array
  readonly value: T
  /** Absent: nothing to write, or written by its readers only. */
  readonly encode?: (writer: Writer) => void
  readonly decode: (reader: Reader) => T
  /** Prefixes, by length, that mean something else and are accepted. */
  readonly prefixes?: readonly number[]
  /** May more bytes follow? */
  readonly open?: boolean
}

export function golden<T>(
  name: string,
  text: string,
  value: T,
  decode: (reader: Reader) => T,
  encode?: (writer: Writer, value: T) => void,
  more: Pick<Golden, 'prefixes' | 'open'> = {},
): Golden<T> {
  return {
    name,
    bytes: hex(text),
    value,
    decode,
    ...(encode === undefined ? {} : { encode: (writer: Writer) => encode(writer, value) }),
    ...more,
  }
}
