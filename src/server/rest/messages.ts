// Messages between JSON and batches.

import { idWords } from '../../client/encode.ts'
import { readVerified } from '../../client/verify.ts'
import { BATCH_HEADER_SIZE, BatchBuilder, FRAME_HEADER_SIZE } from '../../protocol/batch.ts'
import { type Reader, Writer } from '../../protocol/bytes.ts'
import type { Checksummer } from '../../protocol/checksum.ts'
import { decodePollReply } from '../../protocol/commands/poll-messages.ts'
import { encodeSendMessagesPrefix } from '../../protocol/commands/send-messages.ts'
import { Status } from '../../protocol/errors.ts'
import type { Identifier } from '../../protocol/identifier.ts'
import { HeaderKind, USER_HEADERS_SIZE_MAX, writePair } from '../../protocol/user-headers.ts'
import type { SendBody } from './bodies.ts'
import { refuse } from './errors.ts'
import type { Json } from './json.ts'
import { messageJson } from './shapes.ts'

/** Of one poll: more JSON than this at once would keep others waiting. */
export const POLL_MESSAGES_MAX = 4096

type BodyMessage = SendBody['messages'][number]

function headersOf({ user_headers: given }: BodyMessage): Uint8Array | null {
  if (given === undefined || given === null) return null
  let bytes: Uint8Array
  if (given instanceof Uint8Array) bytes = given
  else {
    const writer = new Writer()
    for (const { key, value } of given)
      writePair(writer, {
        keyKind: HeaderKind[key.kind],
        key: key.value,
        valueKind: HeaderKind[value.kind],
        value: value.value,
      })
    bytes = writer.written()
  }
  if (bytes.length > USER_HEADERS_SIZE_MAX) throw refuse(Status.tooBigUserHeaders)
  return bytes.length === 0 ? null : bytes
}

/** The two parts of a request body: what is before the batch, and the batch, sealed. */
export function encodeSend(
  target: { readonly stream: Identifier; readonly topic: Identifier },
  { partitioning, messages }: SendBody,
  { checksummer, sizeMax, now }: { readonly checksummer: Checksummer; readonly sizeMax: number; readonly now: number },
): [Uint8Array, Uint8Array] {
  if (messages.length === 0) throw refuse(Status.invalidMessagesCount, 'there are no messages', 'messages')
  const prefix = new Writer()
  encodeSendMessagesPrefix(prefix, { ...target, partitioning }, messages.length)
  const headers = messages.map(headersOf)
  let size = BATCH_HEADER_SIZE
  messages.forEach(({ payload }, i) => {
    size += FRAME_HEADER_SIZE + payload.length + (headers[i]?.length ?? 0)
  })
  if (prefix.length + size > sizeMax)
    throw refuse(Status.commandLengthError, `the messages take ${size} bytes; ${sizeMax - prefix.length} are the most`)
  const batch = new Uint8Array(size)
  const builder = new BatchBuilder(batch)
  const random = crypto.getRandomValues(new Uint32Array(4))
  messages.forEach(({ id = 0n, payload }, i) => {
    const words = id === 0n ? random : idWords(id)
    // Without an id: a random one for the batch, counted up.
    const low = id === 0n ? ((words[0] as number) + i) >>> 0 : (words[0] as number)
    builder.append(payload, headers[i] ?? null, now, low, words[1] as number, words[2] as number, words[3] as number)
  })
  builder.seal(checksummer)
  return [prefix.written(), batch]
}

export function polledJson(reply: Reader, checksummer: Checksummer): Json {
  const { partition, currentOffset, recordsFrom, recordsTo } = decodePollReply(reply)
  const messages = readVerified(reply.bytes, recordsFrom, recordsTo, partition, checksummer)
  return {
    partition_id: partition,
    current_offset: currentOffset,
    count: messages.length,
    messages: messages.map(messageJson),
  }
}
