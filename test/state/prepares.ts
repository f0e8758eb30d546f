// Committed ops as a replica hands them to the state machine, and batches as a producer sends them.
import { BatchBuilder } from '../../src/protocol/batch.ts'
import { encoded, utf8Encode, type Writer } from '../../src/protocol/bytes.ts'
import { createChecksummer } from '../../src/protocol/checksum.ts'
import { encodeSendMessagesPrefix, type Partitioning } from '../../src/protocol/commands/send-messages.ts'
import { At, Command, setU32, setU64 } from '../../src/protocol/frame.ts'
import type { Identifier } from '../../src/protocol/identifier.ts'
import { HEADER_SIZE, Message, sectorCeil } from '../../src/protocol/message.ts'

export const checksummer = createChecksummer()

/** A Prepare with just the fields that a state machine reads. */
export function prepare(op: number, operation: number, body: Uint8Array, timestamp = 1000 + op): Message {
  const size = HEADER_SIZE + body.length
  const message = new Message(new ArrayBuffer(sectorCeil(size)), 0, sectorCeil(size), [])
  message.references = 1
  setU32(message.words, At.size, size)
  message.bytes[At.command] = Command.prepare
  message.bytes[At.prepare.operation] = operation
  setU64(message.words, At.prepare.op, op)
  setU64(message.words, At.prepare.timestamp, timestamp)
  message.bytes.set(body, HEADER_SIZE)
  return message
}

/** The bytes that an encoder writes. */
export function written(write: (writer: Writer) => void): Uint8Array {
  return encoded(write).slice()
}

/** A sealed batch of these payloads; message i has the id `firstId + i`. */
export function sealedBatch(payloads: readonly Uint8Array[], firstId = 1, origin = 500): Uint8Array {
  const size = payloads.reduce((sum, payload) => sum + 48 + payload.length, 256)
  const bytes = new Uint8Array(size)
  const builder = new BatchBuilder(bytes)
  payloads.forEach((payload, i) => builder.append(payload, null, origin + i, firstId + i, 0, 0, 0))
  builder.seal(checksummer)
  return bytes
}

export function sendBody(
  stream: Identifier,
  topic: Identifier,
  partitioning: Partitioning,
  payloads: readonly Uint8Array[],
  firstId = 1,
): Uint8Array {
  const batch = sealedBatch(payloads, firstId)
  return written((writer) => {
    encodeSendMessagesPrefix(writer, { stream, topic, partitioning }, payloads.length)
    writer.copy(batch)
  })
}

export const text = utf8Encode
