// Snapshots as bytes: the only place that knows msgpack. Values are arrays in schema order with a version in front; objects
// with keys never enter, so the same state is the same bytes on every replica.
import { Packr } from 'msgpackr'

const packr = new Packr({ useRecords: false, variableMapSize: true, copyBuffers: true })

/** A copy: the packer's own buffer is used again. */
export function encode(value: readonly unknown[]): Uint8Array {
  return new Uint8Array(packr.pack(value))
}

/** Throws when the bytes are no msgpack. What they mean is for the caller to check, by the version in front. */
export function decode(bytes: Uint8Array): unknown {
  // A view of its own: the unpacker hangs a property on what it is given.
  return packr.unpack(bytes.subarray())
}
