// What clients ask of a second topic, in seeds that ask for everything: it is made once and never deleted, but purged, and has
// more and fewer partitions in the course of time; and it drops repeated messages, within a small window.
import { encodeCreateConsumerGroup } from '../src/protocol/commands/create-consumer-group.ts'
import { encodeCreatePartitions } from '../src/protocol/commands/create-partitions.ts'
import { encodeCreateStream } from '../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../src/protocol/commands/create-topic.ts'
import { encodeDeleteConsumerOffset } from '../src/protocol/commands/delete-consumer-offset.ts'
import { encodeDeletePartitions } from '../src/protocol/commands/delete-partitions.ts'
import { encodeDeleteSegments } from '../src/protocol/commands/delete-segments.ts'
import { encodeDeleteTopic } from '../src/protocol/commands/delete-topic.ts'
import { encodeGetConsumerGroup } from '../src/protocol/commands/get-consumer-group.ts'
import { encodePurgeStream } from '../src/protocol/commands/purge-stream.ts'
import { encodePurgeTopic } from '../src/protocol/commands/purge-topic.ts'
import { encodeStoreConsumerOffset } from '../src/protocol/commands/store-consumer-offset.ts'
import { encodeUpdateStream } from '../src/protocol/commands/update-stream.ts'
import { encodeUpdateTopic } from '../src/protocol/commands/update-topic.ts'
import { Operation } from '../src/protocol/operations.ts'
import { ALL_KINDS, identityRequest, request, type SimRequest } from './identity-requests.ts'
import type { SeededRandom } from './random.ts'

export const SECOND = 'second'
const GROUP = 'group'
export const SECOND_GROUP = { kind: 'group', id: GROUP } as const
/** A topic that comes and goes. */
const SPARE = 'spare'
/** Of ids; few, so that messages are older than that again and again. */
const WINDOWS = [1, 3, 10, 40, 400]

/** What `dice` says, below 45; 0 makes the topic. */
export function secondTopicRequest(random: SeededRandom, topic: string, dice: number): SimRequest {
  const whole = { stream: SECOND, topic }
  const place = { ...whole, partition: random.below(3) }
  const consumer = random.chance(0.2) ? SECOND_GROUP : ({ kind: 'consumer', id: 1 } as const)
  if (dice < 2)
    return request(Operation.createTopic, (w) =>
      encodeCreateTopic(w, {
        stream: SECOND,
        partitions: random.between(1, 3),
        name: topic,
        options: { deduplicationWindow: random.pick(WINDOWS) },
      }),
    )
  if (dice < 3) return request(Operation.createStream, (w) => encodeCreateStream(w, { name: SECOND }))
  // A name may also stay as it is.
  if (dice < 5) return request(Operation.updateStream, (w) => encodeUpdateStream(w, { stream: SECOND, name: SECOND }))
  if (dice < 7) {
    const maxTopicSize = random.below(2) * 2 ** 20
    return request(Operation.updateTopic, (w) =>
      encodeUpdateTopic(w, { ...whole, name: topic, options: { maxTopicSize } }),
    )
  }
  if (dice < 9) return request(Operation.purgeTopic, (w) => encodePurgeTopic(w, whole))
  if (dice < 10) return request(Operation.purgeStream, (w) => encodePurgeStream(w, { stream: SECOND }))
  if (dice < 13) return request(Operation.createPartitions, (w) => encodeCreatePartitions(w, { ...whole, count: 1 }))
  if (dice < 15)
    return request(Operation.deletePartitions, (w) =>
      encodeDeletePartitions(w, { ...whole, count: random.between(1, 2) }),
    )
  if (dice < 17)
    return request(Operation.deleteSegments, (w) => encodeDeleteSegments(w, { ...place, count: random.below(3) }))
  if (dice < 21) {
    const offset = random.below(8)
    return request(Operation.storeConsumerOffset, (w) =>
      encodeStoreConsumerOffset(w, { ...place, consumer, offset, ack: 'quorum' }),
    )
  }
  if (dice < 24)
    return request(Operation.deleteConsumerOffset, (w) =>
      encodeDeleteConsumerOffset(w, { ...place, consumer, ack: 'quorum' }),
    )
  if (dice < 27) return spareRequest(random)
  if (dice < 34) return groupRequest(random, topic)
  return identityRequest(random, `passing-${random.below(3)}`, topic, ALL_KINDS)
}

function spareRequest(random: SeededRandom): SimRequest {
  if (random.chance(0.5))
    return request(Operation.deleteTopic, (w) => encodeDeleteTopic(w, { stream: SECOND, topic: SPARE }))
  return request(Operation.createTopic, (w) =>
    encodeCreateTopic(w, { stream: SECOND, partitions: random.below(3), name: SPARE, options: {} }),
  )
}

/** Members that ask for nothing, and are removed for it where somebody leads who looks for silent ones. */
function groupRequest(random: SeededRandom, topic: string): SimRequest {
  const group = { stream: SECOND, topic, group: GROUP }
  switch (random.below(6)) {
    case 0:
      return request(Operation.createConsumerGroup, (w) =>
        encodeCreateConsumerGroup(w, { stream: SECOND, topic, name: GROUP }),
      )
    case 1:
      return request(Operation.deleteConsumerGroup, (w) => encodeGetConsumerGroup(w, group))
    case 2:
      return request(Operation.leaveConsumerGroup, (w) => encodeGetConsumerGroup(w, group))
    default:
      return request(Operation.joinConsumerGroup, (w) => encodeGetConsumerGroup(w, group))
  }
}
