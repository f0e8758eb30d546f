// Rights as users write and read them: `manage-streams`, `read-topics@shop`, `poll-messages@shop/orders`.
import { InvalidArgumentError } from 'commander'
import type { Client, Permissions } from '../index.ts'
import {
  ALL_GLOBAL_RIGHTS,
  ALL_STREAM_RIGHTS,
  ALL_TOPIC_RIGHTS,
  type GlobalRight,
  globalRights,
  type StreamPermissions,
  type StreamRight,
  streamRights,
  type TopicPermissions,
  type TopicRight,
  topicRights,
} from '../protocol/permissions.ts'
import { noStream, noTopic } from './commands/topic.ts'
import { identifier } from './flags.ts'

export interface Grant {
  readonly right: string
  /** null: everywhere. */
  readonly stream: string | null
  readonly topic: string | null
}

export const RIGHTS_HELP = `Rights:
  everywhere          ${ALL_GLOBAL_RIGHTS.map(kebab).join(', ')}
  RIGHT@STREAM        ${ALL_STREAM_RIGHTS.map(kebab).join(', ')}
  RIGHT@STREAM/TOPIC  ${ALL_TOPIC_RIGHTS.map(kebab).join(', ')}`

function kebab(right: string): string {
  return right.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function camel(right: string): string {
  return right.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/** `RIGHT`, `RIGHT@STREAM`, `RIGHT@STREAM/TOPIC`; repeatable. */
export function grant(text: string, soFar: readonly Grant[] = []): Grant[] {
  const match = /^([a-z-]+)(?:@([^/]+)(?:\/(.+))?)?$/.exec(text)
  const right = camel(match?.[1] ?? '')
  const stream = match?.[2] ?? null
  const topic = match?.[3] ?? null
  const known: readonly string[] =
    topic !== null ? ALL_TOPIC_RIGHTS : stream !== null ? ALL_STREAM_RIGHTS : ALL_GLOBAL_RIGHTS
  if (match === null || !known.includes(right)) {
    throw new InvalidArgumentError(
      `It must be one of ${known.map(kebab).join(', ')}${stream === null ? ', or RIGHT@STREAM, RIGHT@STREAM/TOPIC' : ''}.`,
    )
  }
  return [...soFar, { right, stream, topic }]
}

/** Looks the streams and topics up: rights are kept by their numbers. */
export async function permissionsOf(client: Client, grants: readonly Grant[]): Promise<Permissions> {
  const everywhere = grants.filter(({ stream }) => stream === null).map(({ right }) => right as GlobalRight)
  const streams: StreamPermissions[] = []
  for (const name of new Set(grants.flatMap(({ stream }) => stream ?? []))) {
    const found = await client.getStream(identifier(name))
    if (found === null) throw noStream(name)
    const here = grants.filter(({ stream }) => stream === name)
    const own = here.filter(({ topic }) => topic === null).map(({ right }) => right as StreamRight)
    const topics: TopicPermissions[] = []
    for (const topicName of new Set(here.flatMap(({ topic }) => topic ?? []))) {
      const topic = found.topics.find(({ id, name }) => name === topicName || String(id) === topicName)
      if (topic === undefined) throw noTopic(name, topicName)
      const rights = here.filter((one) => one.topic === topicName).map(({ right }) => right as TopicRight)
      topics.push(topicRights(topic.id, ...rights))
    }
    streams.push({ ...streamRights(found.stream.id, ...own), topics })
  }
  return { ...globalRights(...everywhere), streams }
}

/** With the numbers of streams and topics, as they are kept. */
export function rightsOf(permissions: Permissions | null): string[] {
  if (permissions === null) return []
  const rights: string[] = ALL_GLOBAL_RIGHTS.filter((right) => permissions[right]).map(kebab)
  for (const stream of permissions.streams) {
    for (const right of ALL_STREAM_RIGHTS) if (stream[right]) rights.push(`${kebab(right)}@${stream.stream}`)
    for (const topic of stream.topics)
      for (const right of ALL_TOPIC_RIGHTS)
        if (topic[right]) rights.push(`${kebab(right)}@${stream.stream}/${topic.topic}`)
  }
  return rights
}
