// Messages, and the offsets of those who read them.
import type { Reader, Writer } from '../../protocol/bytes.ts'
import { encodeDeleteConsumerOffset } from '../../protocol/commands/delete-consumer-offset.ts'
import { decodeGetConsumerOffsetReply, encodeGetConsumerOffset } from '../../protocol/commands/get-consumer-offset.ts'
import { encodePollMessages } from '../../protocol/commands/poll-messages.ts'
import { decodeSendMessagesReply } from '../../protocol/commands/send-messages.ts'
import { encodeStoreConsumerOffset } from '../../protocol/commands/store-consumer-offset.ts'
import { writeIdentifier } from '../../protocol/identifier.ts'
import { HEADER_SIZE } from '../../protocol/message.ts'
import { Code, Operation } from '../../protocol/operations.ts'
import { ackOf, Bodies, consumerOf, flagOf, identifierOf, pollFromOf, u32Of } from './bodies.ts'
import { type Call, empty, json, NOTHING, type Route, route } from './call.ts'
import { notFound } from './errors.ts'
import type { Json } from './json.ts'
import { encodeSend, POLL_MESSAGES_MAX, polledJson } from './messages.ts'
import { appendsJson, offsetJson } from './shapes.ts'

const TOPIC = '/streams/:stream/topics/:topic'
const DURABILITY = 'Iggy-Durability'

async function send(call: Call): Promise<Response> {
  const { checksummer, frameSizeMax } = call.parts
  const ack = ackOf(call.query)
  const parts = encodeSend(call.place, call.body(Bodies.sendMessages), {
    checksummer,
    sizeMax: frameSizeMax() - HEADER_SIZE,
    now: Date.now() * 1000,
  })
  const sent = call.submit(Operation.sendMessages, ...parts)
  if (ack === 'none') {
    call.background = sent
    return empty(202, { [DURABILITY]: 'none' })
  }
  const answer = await sent
  return json(appendsJson(decodeSendMessagesReply(answer)), 201, { [DURABILITY]: `replicated-${answer.durability}` })
}

async function poll(call: Call): Promise<Response> {
  const { query, place, parts } = call
  const autoCommit = flagOf(query, 'auto_commit')
  const request = {
    ...place,
    consumer: consumerOf(query),
    partition: u32Of(query, 'partition_id', 0),
    from: pollFromOf(query),
    count: Math.min(u32Of(query, 'count', 10), POLL_MESSAGES_MAX),
    autoCommit,
  }
  const write = (w: Writer): void => encodePollMessages(w, request)
  const decode = (reader: Reader): Json => polledJson(reader, parts.checksummer)
  if (autoCommit) return json(await call.readAndChange(Code.pollMessages, write, decode))
  return json(await call.read(Code.pollMessages, write, decode))
}

/** Every acknowledged message is on disk: the cluster says that there is nothing to flush. */
async function flush(call: Call): Promise<Response> {
  const { stream, topic } = call.place
  const partition = u32Of({ partition_id: call.param('partition') }, 'partition_id')
  const fsync = flagOf({ fsync: call.param('fsync').replace(/^fsync=/, '') }, 'fsync')
  const write = (w: Writer): void => {
    writeIdentifier(w, stream)
    writeIdentifier(w, topic)
    w.u32(partition).bool(fsync)
  }
  await call.read(Code.flushUnsavedBuffer, write, NOTHING)
  return empty(204)
}

export const MESSAGE_ROUTES: readonly Route[] = [
  route('POST', `${TOPIC}/messages`, send, 'large'),
  route('GET', `${TOPIC}/messages`, poll),
  route('GET', `${TOPIC}/messages/flush/:partition/:fsync`, flush),

  route('GET', `${TOPIC}/consumer-offsets`, async (call) => {
    const request = { ...call.place, consumer: consumerOf(call.query), partition: u32Of(call.query, 'partition_id', 0) }
    const write = (w: Writer): void => encodeGetConsumerOffset(w, request)
    const offset = await call.read(Code.getConsumerOffset, write, decodeGetConsumerOffsetReply)
    if (offset === null) throw notFound()
    return json(offsetJson(offset))
  }),
  route('PUT', `${TOPIC}/consumer-offsets`, async (call) => {
    const { consumer_id: id, consumer_kind: kind, partition_id: partition, offset } = call.body(Bodies.storeOffset)
    const request = {
      ...call.place,
      consumer: {
        kind: kind === 'consumer' ? ('consumer' as const) : ('group' as const),
        id: typeof id === 'number' ? id : identifierOf(id),
      },
      partition: partition ?? 0,
      offset,
      ack: 'quorum' as const,
    }
    await call.write(Operation.storeConsumerOffset, (w) => encodeStoreConsumerOffset(w, request), NOTHING)
    return empty(204)
  }),
  route('DELETE', `${TOPIC}/consumer-offsets/:consumer`, async (call) => {
    const consumer = { ...consumerOf(call.query), id: call.id('consumer') }
    const partition = u32Of(call.query, 'partition_id', 0)
    const request = { ...call.place, consumer, partition, ack: 'quorum' as const }
    await call.write(Operation.deleteConsumerOffset, (w) => encodeDeleteConsumerOffset(w, request), NOTHING)
    return empty(204)
  }),
]
