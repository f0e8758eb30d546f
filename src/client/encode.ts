// Encodings that clients and producers share.
import { encoded, ProtocolError, type Writer } from '../protocol/bytes.ts'
import { type Headers, writeHeaders } from '../protocol/user-headers.ts'
import { GalgoError } from './errors.ts'

/** Largest body of a batch that every cluster with default settings takes. */
export const BATCH_BYTES_MAX = 2 * 1024 * 1024 - 1024

/** What the caller has asked for; what cannot be encoded is the caller's mistake. */
export function encodeArguments(write: (writer: Writer) => void): Uint8Array {
  try {
    return encoded(write)
  } catch (error) {
    if (error instanceof ProtocolError) throw new GalgoError('invalid-argument', error.message, { cause: error })
    throw error
  }
}

export function encodeHeaders(headers: Headers): Uint8Array {
  return encodeArguments((w) => writeHeaders(w, headers))
}

/** Lowest word first. */
export function idWords(id: bigint): Uint32Array {
  const words = new Uint32Array(4)
  for (let i = 0; i < 4; i++) words[i] = Number((id >> BigInt(32 * i)) & 0xffff_ffffn)
  return words
}
