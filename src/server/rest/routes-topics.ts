// Streams, topics, partitions, consumer groups.
import { utf8Encode, type Writer } from '../../protocol/bytes.ts'
import {
  decodeCreateConsumerGroupReply,
  encodeCreateConsumerGroup,
} from '../../protocol/commands/create-consumer-group.ts'
import { encodeCreatePartitions } from '../../protocol/commands/create-partitions.ts'
import { decodeCreateStreamReply, encodeCreateStream } from '../../protocol/commands/create-stream.ts'
import { decodeCreateTopicReply, encodeCreateTopic } from '../../protocol/commands/create-topic.ts'
import { encodeDeleteConsumerGroup } from '../../protocol/commands/delete-consumer-group.ts'
import { encodeDeletePartitions } from '../../protocol/commands/delete-partitions.ts'
import { encodeDeleteSegments } from '../../protocol/commands/delete-segments.ts'
import { encodeDeleteStream } from '../../protocol/commands/delete-stream.ts'
import { encodeDeleteTopic } from '../../protocol/commands/delete-topic.ts'
import { decodeGroupReply, encodeGetConsumerGroup } from '../../protocol/commands/get-consumer-group.ts'
import { decodeStreamReply, encodeGetStream } from '../../protocol/commands/get-stream.ts'
import { decodeTopicReply, encodeGetTopic } from '../../protocol/commands/get-topic.ts'
import {
  decodeListConsumerGroupsReply,
  encodeListConsumerGroups,
} from '../../protocol/commands/list-consumer-groups.ts'
import { decodeListStreamsReply } from '../../protocol/commands/list-streams.ts'
import { decodeListTopicsReply, encodeListTopics } from '../../protocol/commands/list-topics.ts'
import { encodePurgeStream } from '../../protocol/commands/purge-stream.ts'
import { encodePurgeTopic } from '../../protocol/commands/purge-topic.ts'
import { encodeUpdateStream } from '../../protocol/commands/update-stream.ts'
import { encodeUpdateTopic } from '../../protocol/commands/update-topic.ts'
import { Status } from '../../protocol/errors.ts'
import { Code, Operation } from '../../protocol/operations.ts'
import type { TopicUpdate } from '../../protocol/options.ts'
import { HeaderKind, writePair } from '../../protocol/user-headers.ts'
import { Bodies, newName, u32Of } from './bodies.ts'
import { empty, json, NOTHING, type Route, route } from './call.ts'
import { notFound, refuse } from './errors.ts'
import { groupDetailsJson, groupJson, streamDetailsJson, streamJson, topicDetailsJson, topicJson } from './shapes.ts'

function present<T>(value: T | null): T {
  if (value === null) throw notFound()
  return value
}

/** What a write must have answered. */
function made<T>(value: T | null): T {
  if (value === null) throw refuse(Status.error)
  return value
}

/** Options as texts; the cluster knows which there are, and reads them. Those with a field of their own are in `named`. */
function writeTexts(writer: Writer, options: Readonly<Record<string, string>>, named: readonly string[] = []): void {
  for (const [key, value] of Object.entries(options)) {
    if (named.includes(key)) continue
    writePair(writer, {
      keyKind: HeaderKind.string,
      key: utf8Encode(key),
      valueKind: HeaderKind.string,
      value: utf8Encode(value),
    })
  }
}

interface NamedOptions {
  readonly compression_algorithm?: 'none' | 'gzip' | null | undefined
  readonly message_expiry?: number | null | undefined
  readonly max_topic_size?: number | null | undefined
}

/** Those that are given. */
function namedOptions(body: NamedOptions): { readonly options: TopicUpdate; readonly names: string[] } {
  const { compression_algorithm: compression, message_expiry: expiry, max_topic_size: size } = body
  const given = (value: unknown): boolean => value !== undefined && value !== null
  return {
    options: {
      ...(given(compression) ? { compressionAlgorithm: compression as 'none' | 'gzip' } : {}),
      ...(given(expiry) ? { messageExpiry: expiry as number } : {}),
      ...(given(size) ? { maxTopicSize: size as number } : {}),
    },
    names: (['compression_algorithm', 'message_expiry', 'max_topic_size'] as const).filter((key) => given(body[key])),
  }
}

const TOPIC = '/streams/:stream/topics/:topic'

export const TOPIC_ROUTES: readonly Route[] = [
  route('GET', '/streams', async (call) =>
    json((await call.read(Code.listStreams, NOTHING, decodeListStreamsReply)).map(streamJson)),
  ),
  route('POST', '/streams', async (call) => {
    const name = newName(call.body(Bodies.createStream).name, Status.invalidStreamName)
    const write = (w: Writer): void => encodeCreateStream(w, { name })
    return json(streamDetailsJson(made(await call.write(Operation.createStream, write, decodeCreateStreamReply))))
  }),
  route('GET', '/streams/:stream', async (call) => {
    const { stream } = call
    const write = (w: Writer): void => encodeGetStream(w, { stream })
    return json(streamDetailsJson(present(await call.read(Code.getStream, write, decodeStreamReply))))
  }),
  route('PUT', '/streams/:stream', async (call) => {
    const { stream } = call
    const { options, ...body } = call.body(Bodies.updateStream)
    const name = newName(body.name, Status.invalidStreamName)
    const write = (w: Writer): void => {
      encodeUpdateStream(w, { stream, name })
      writeTexts(w, options)
    }
    await call.write(Operation.updateStream, write, NOTHING)
    return empty(204)
  }),
  route('DELETE', '/streams/:stream', async (call) => {
    const { stream } = call
    await call.write(Operation.deleteStream, (w) => encodeDeleteStream(w, { stream }), NOTHING)
    return empty(204)
  }),
  route('DELETE', '/streams/:stream/purge', async (call) => {
    const { stream } = call
    await call.write(Operation.purgeStream, (w) => encodePurgeStream(w, { stream }), NOTHING)
    return empty(204)
  }),

  route('GET', '/streams/:stream/topics', async (call) => {
    const { stream } = call
    const write = (w: Writer): void => encodeListTopics(w, { stream })
    return json(present(await call.read(Code.listTopics, write, decodeListTopicsReply)).map(topicJson))
  }),
  route('POST', '/streams/:stream/topics', async (call) => {
    const { stream } = call
    const { partitions_count: partitions, options: texts, ...body } = call.body(Bodies.createTopic)
    const name = newName(body.name, Status.invalidTopicName)
    // 0, and no compression, are what an absent field means.
    const { options, names } = namedOptions({
      compression_algorithm: body.compression_algorithm === 'none' ? null : body.compression_algorithm,
      message_expiry: body.message_expiry || null,
      max_topic_size: body.max_topic_size || null,
    })
    const write = (w: Writer): void => {
      encodeCreateTopic(w, { stream, partitions, name, options })
      writeTexts(w, texts, names)
    }
    return json(topicDetailsJson(made(await call.write(Operation.createTopic, write, decodeCreateTopicReply))))
  }),
  route('GET', TOPIC, async (call) => {
    const { place } = call
    const write = (w: Writer): void => encodeGetTopic(w, place)
    return json(topicDetailsJson(present(await call.read(Code.getTopic, write, decodeTopicReply))))
  }),
  route('PUT', TOPIC, async (call) => {
    const { place } = call
    const { options: texts, ...body } = call.body(Bodies.updateTopic)
    const name = newName(body.name, Status.invalidTopicName)
    const { options, names } = namedOptions(body)
    const write = (w: Writer): void => {
      encodeUpdateTopic(w, { ...place, name, options })
      writeTexts(w, texts, names)
    }
    await call.write(Operation.updateTopic, write, NOTHING)
    return empty(204)
  }),
  route('DELETE', TOPIC, async (call) => {
    const { place } = call
    await call.write(Operation.deleteTopic, (w) => encodeDeleteTopic(w, place), NOTHING)
    return empty(204)
  }),
  route('DELETE', `${TOPIC}/purge`, async (call) => {
    const { place } = call
    await call.write(Operation.purgeTopic, (w) => encodePurgeTopic(w, place), NOTHING)
    return empty(204)
  }),

  route('POST', `${TOPIC}/partitions`, async (call) => {
    const { place } = call
    const { partitions_count: count } = call.body(Bodies.createPartitions)
    await call.write(Operation.createPartitions, (w) => encodeCreatePartitions(w, { ...place, count }), NOTHING)
    return empty(200)
  }),
  route('DELETE', `${TOPIC}/partitions`, async (call) => {
    const { place } = call
    const count = u32Of(call.query, 'partitions_count')
    await call.write(Operation.deletePartitions, (w) => encodeDeletePartitions(w, { ...place, count }), NOTHING)
    return empty(204)
  }),
  route('DELETE', `${TOPIC}/partitions/:partition`, async (call) => {
    const { place } = call
    const partition = u32Of({ partition_id: call.param('partition') }, 'partition_id')
    const count = u32Of(call.query, 'segments_count')
    const write = (w: Writer): void => encodeDeleteSegments(w, { ...place, partition, count })
    await call.write(Operation.deleteSegments, write, NOTHING)
    return empty(204)
  }),

  route('GET', `${TOPIC}/consumer-groups`, async (call) => {
    const { place } = call
    const write = (w: Writer): void => encodeListConsumerGroups(w, place)
    return json((await call.read(Code.listConsumerGroups, write, decodeListConsumerGroupsReply)).map(groupJson))
  }),
  route('POST', `${TOPIC}/consumer-groups`, async (call) => {
    const { place } = call
    const name = newName(call.body(Bodies.createGroup).name, Status.invalidConsumerGroupName)
    const write = (w: Writer): void => encodeCreateConsumerGroup(w, { ...place, name })
    const group = made(await call.write(Operation.createConsumerGroup, write, decodeCreateConsumerGroupReply))
    return json(groupDetailsJson(group))
  }),
  route('GET', `${TOPIC}/consumer-groups/:group`, async (call) => {
    const group = { ...call.place, group: call.id('group') }
    const write = (w: Writer): void => encodeGetConsumerGroup(w, group)
    return json(groupDetailsJson(present(await call.read(Code.getConsumerGroup, write, decodeGroupReply))))
  }),
  route('DELETE', `${TOPIC}/consumer-groups/:group`, async (call) => {
    const group = { ...call.place, group: call.id('group') }
    await call.write(Operation.deleteConsumerGroup, (w) => encodeDeleteConsumerGroup(w, group), NOTHING)
    return empty(204)
  }),
]
