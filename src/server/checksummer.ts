// The fastest checksums that this machine has: the addon's, else WebAssembly. Both give the same bits.
import { nativeChecksummer } from 'io-uring-napi'
import { type Checksummer, createChecksummer } from '../protocol/checksum.ts'

export function makeChecksummer(): Checksummer {
  return nativeChecksummer() ?? createChecksummer()
}
