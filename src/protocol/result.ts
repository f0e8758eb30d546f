// The result section at the start of the reply body of a result-framed operation (operations.ts, isResultFramed).
//
//   | off | size | field                                      |
//   |   0 |   4  | count: 0 success, 1 rejected               |
//   |   4 |   4  | index, 0                                   |   only when rejected,
//   |   8 |   4  | result: status number                      |   and then nothing follows
//   |   4 |  ... | payload                                    |   only on success
import { ProtocolError, type Reader, type Writer } from './bytes.ts'
import { Status } from './errors.ts'

export const RESULT_OK_SIZE = 4
export const RESULT_REJECTED_SIZE = 12

export function writeResultOk(writer: Writer): void {
  writer.u32(0)
}

export function writeResultRejected(writer: Writer, status: number): void {
  writer.u32(1).u32(0).u32(status)
}

/** 0, and the reader stands on the payload; or the status of a rejection. */
export function readResult(reader: Reader): number {
  const count = reader.u32()
  if (count === 0) return Status.ok
  if (count !== 1) throw new ProtocolError(Status.invalidFormat, `a result section with ${count} entries`)
  const index = reader.u32()
  const status = reader.u32()
  if (index !== 0 || status === 0) {
    throw new ProtocolError(Status.invalidFormat, `a result section with index ${index}, status ${status}`)
  }
  reader.finish()
  return status
}
