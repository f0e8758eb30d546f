// What a user may do, as requests, replies, the log and checkpoints carry it. Rights add up: what one level grants, no other
// takes away; what nothing grants is refused (`src/state/access.ts`).
//
//   everywhere                                  per stream                        per topic
//   | size | right                     |        | size | field          |         | size | field          |
//   |   1  | manage servers            |        |   4  | stream id      |         |   4  | topic id       |
//   |   1  | read servers              |        |   1  | manage stream  |         |   1  | manage topic   |
//   |   1  | manage users              |        |   1  | read stream    |         |   1  | read topic     |
//   |   1  | read users                |        |   1  | manage topics  |         |   1  | poll messages  |
//   |   1  | manage streams            |        |   1  | read topics    |         |   1  | send messages  |
//   |   1  | read streams              |        |   1  | poll messages  |         |   1  | another topic? |
//   |   1  | manage topics             |        |   1  | send messages  |
//   |   1  | read topics               |        |   1  | topics follow? |
//   |   1  | poll messages             |        |  ... | topics         |
//   |   1  | send messages             |        |   1  | another stream?|
//   |   1  | streams follow?           |
//   |  ... | streams                   |
//
// Written sorted by id, so that equal rights are equal bytes; an id that comes twice is refused.
import { ProtocolError, type Reader, Writer } from './bytes.ts'
import { Status } from './errors.ts'

/** Bytes of one user's rights: more than a thousand topics. */
export const PERMISSIONS_SIZE_MAX = 16 * 1024

const GLOBAL_RIGHTS = [
  'manageServers',
  'readServers',
  'manageUsers',
  'readUsers',
  'manageStreams',
  'readStreams',
  'manageTopics',
  'readTopics',
  'pollMessages',
  'sendMessages',
] as const
const STREAM_RIGHTS = [
  'manageStream',
  'readStream',
  'manageTopics',
  'readTopics',
  'pollMessages',
  'sendMessages',
] as const
const TOPIC_RIGHTS = ['manageTopic', 'readTopic', 'pollMessages', 'sendMessages'] as const

export type GlobalRight = (typeof GLOBAL_RIGHTS)[number]
export type StreamRight = (typeof STREAM_RIGHTS)[number]
export type TopicRight = (typeof TOPIC_RIGHTS)[number]

type Rights<Right extends string> = { readonly [R in Right]: boolean }

export interface TopicPermissions extends Rights<TopicRight> {
  readonly topic: number
}

export interface StreamPermissions extends Rights<StreamRight> {
  readonly stream: number
  readonly topics: readonly TopicPermissions[]
}

export interface Permissions extends Rights<GlobalRight> {
  readonly streams: readonly StreamPermissions[]
}

function rights<Right extends string>(names: readonly Right[], granted: readonly Right[]): Rights<Right> {
  return Object.fromEntries(names.map((name) => [name, granted.includes(name)])) as Rights<Right>
}

/** Rights everywhere: those that are named, and no other. */
export function globalRights(...granted: readonly GlobalRight[]): Permissions {
  return { ...rights(GLOBAL_RIGHTS, granted), streams: [] }
}

export function streamRights(stream: number, ...granted: readonly StreamRight[]): StreamPermissions {
  return { stream, ...rights(STREAM_RIGHTS, granted), topics: [] }
}

export function topicRights(topic: number, ...granted: readonly TopicRight[]): TopicPermissions {
  return { topic, ...rights(TOPIC_RIGHTS, granted) }
}

export const ALL_GLOBAL_RIGHTS: readonly GlobalRight[] = GLOBAL_RIGHTS
export const ALL_STREAM_RIGHTS: readonly StreamRight[] = STREAM_RIGHTS
export const ALL_TOPIC_RIGHTS: readonly TopicRight[] = TOPIC_RIGHTS

function writeRights<Right extends string>(writer: Writer, names: readonly Right[], of: Rights<Right>): void {
  for (const name of names) writer.bool(of[name])
}

function readRights<Right extends string>(reader: Reader, names: readonly Right[]): Rights<Right> {
  const found: Record<string, boolean> = {}
  for (const name of names) found[name] = reader.bool()
  return found as Rights<Right>
}

/** `[follows u8]([item][another u8]…)` */
function writeList<T>(writer: Writer, items: readonly T[], write: (item: T) => void): void {
  writer.bool(items.length > 0)
  items.forEach((item, i) => {
    write(item)
    writer.bool(i < items.length - 1)
  })
}

function readList<T>(reader: Reader, read: () => T, idOf: (item: T) => number): T[] {
  const items: T[] = []
  let more = reader.bool()
  while (more) {
    items.push(read())
    more = reader.bool()
  }
  items.sort((a, b) => idOf(a) - idOf(b))
  const twice = items.findIndex((item, i) => i > 0 && idOf(item) === idOf(items[i - 1] as T))
  if (twice >= 0)
    throw new ProtocolError(Status.invalidFormat, `permissions name the id ${idOf(items[twice] as T)} twice`)
  return items
}

const streamOf = ({ stream }: StreamPermissions): number => stream
const topicOf = ({ topic }: TopicPermissions): number => topic

function writePermissions(writer: Writer, permissions: Permissions): void {
  writeRights(writer, GLOBAL_RIGHTS, permissions)
  writeList(
    writer,
    permissions.streams.toSorted((a, b) => a.stream - b.stream),
    (stream) => {
      writer.u32(stream.stream)
      writeRights(writer, STREAM_RIGHTS, stream)
      writeList(
        writer,
        stream.topics.toSorted((a, b) => a.topic - b.topic),
        (topic) => {
          writer.u32(topic.topic)
          writeRights(writer, TOPIC_RIGHTS, topic)
        },
      )
    },
  )
}

function readTopicPermissions(reader: Reader): TopicPermissions {
  return { topic: reader.u32(), ...readRights(reader, TOPIC_RIGHTS) }
}

function readStreamPermissions(reader: Reader): StreamPermissions {
  return {
    stream: reader.u32(),
    ...readRights(reader, STREAM_RIGHTS),
    topics: readList(reader, () => readTopicPermissions(reader), topicOf),
  }
}

/** Reads to the end. */
export function readPermissions(reader: Reader): Permissions {
  if (reader.remaining > PERMISSIONS_SIZE_MAX) {
    throw new ProtocolError(
      Status.invalidFormat,
      `permissions of ${reader.remaining} bytes; ${PERMISSIONS_SIZE_MAX} are the most`,
    )
  }
  const permissions = {
    ...readRights(reader, GLOBAL_RIGHTS),
    streams: readList(reader, () => readStreamPermissions(reader), streamOf),
  }
  reader.finish()
  return permissions
}

export function encodePermissions(permissions: Permissions): Uint8Array {
  const writer = new Writer()
  writePermissions(writer, permissions)
  return writer.written().slice()
}

/** `[given u8]`, and when given `[size u32][permissions]`. */
export function writeOptionalPermissions(writer: Writer, permissions: Permissions | null): void {
  writer.bool(permissions !== null)
  if (permissions === null) return
  const bytes = encodePermissions(permissions)
  writer.u32(bytes.length).copy(bytes)
}

export function readOptionalPermissions(reader: Reader): Permissions | null {
  if (!reader.bool()) return null
  return readPermissions(reader.slice(reader.u32()))
}
