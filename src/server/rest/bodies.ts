// What requests hold: JSON bodies and query strings, checked before anything is made of them.
import { z } from 'zod'
import { utf8Encode } from '../../protocol/bytes.ts'
import type { PollFrom } from '../../protocol/commands/poll-messages.ts'
import type { Partitioning } from '../../protocol/commands/send-messages.ts'
import type { Consumer } from '../../protocol/consumer.ts'
import { Status } from '../../protocol/errors.ts'
import type { Identifier } from '../../protocol/identifier.ts'
import {
  ALL_GLOBAL_RIGHTS,
  ALL_STREAM_RIGHTS,
  ALL_TOPIC_RIGHTS,
  type GlobalRight,
  globalRights,
  type Permissions,
  type StreamRight,
  streamRights,
  type TopicRight,
  topicRights,
} from '../../protocol/permissions.ts'
import { HeaderKind } from '../../protocol/user-headers.ts'
import { refuse } from './errors.ts'
import { ALL_ONES, parseJson } from './json.ts'
import { snakeCase } from './shapes.ts'

const U32_MAX = 0xffff_ffff
const NAME_SIZE_MAX = 255

/** A number by itself is an id, anything else a name. */
export function identifierOf(text: string): Identifier {
  const { length } = utf8Encode(text)
  if (length === 0 || length > NAME_SIZE_MAX) throw refuse(Status.invalidIdentifier)
  return /^\+?\d+$/.test(text) && Number(text) <= U32_MAX ? Number(text) : text
}

/** A name that is to be given; the status is the one that says it cannot. */
export function newName(name: string, status: number): string {
  const { length } = utf8Encode(name)
  if (length === 0 || length > NAME_SIZE_MAX) throw refuse(status)
  return name
}

// ---- pieces ------------------------------------------------------------------------------------------------------------

const u32 = z.int().min(0).max(U32_MAX)
/** Below 2^53. */
const u64 = z.int().min(0)
/** All ones become Infinity. */
const u64OrUnlimited = z
  .union([z.number(), z.bigint()])
  // As JavaScript writes it, it is one more.
  .transform((value) => (Number(value) === Number(ALL_ONES) ? Number.POSITIVE_INFINITY : Number(value)))
  .refine(
    (value) => value === Number.POSITIVE_INFINITY || (Number.isSafeInteger(value) && value >= 0),
    'a whole number, at most 2^53 - 1, or 2^64 - 1 for no limit',
  )
const text = z.string()
const name = text.max(1024)
const secret = text.max(1024)

const bytes = text.transform((value, ctx) => {
  // Buffer skips what is no base64.
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(value) || value.length % 4 !== 0) {
    ctx.addIssue({ code: 'custom', message: 'not base64, with padding' })
    return z.NEVER
  }
  return new Uint8Array(Buffer.from(value, 'base64'))
})

function rights<Right extends string>(names: readonly Right[]) {
  return Object.fromEntries(names.map((right) => [snakeCase(right), z.boolean().default(false)])) as Record<
    string,
    z.ZodDefault<z.ZodBoolean>
  >
}

function granted<Right extends string>(names: readonly Right[], given: Readonly<Record<string, unknown>>): Right[] {
  return names.filter((right) => given[snakeCase(right)] === true)
}

const id = text.regex(/^\d{1,10}$/, 'an id')
const globalShape = z.object(rights<GlobalRight>(ALL_GLOBAL_RIGHTS))
const topicShape = z.object(rights<TopicRight>(ALL_TOPIC_RIGHTS))
const streamShape = z.intersection(
  z.object(rights<StreamRight>(ALL_STREAM_RIGHTS)),
  z.object({ topics: z.record(id, topicShape).nullish() }),
)
const permissions = z
  .object({ global: globalShape, streams: z.record(id, streamShape).nullish() })
  .transform(({ global, streams }): Permissions => {
    const perStream = Object.entries(streams ?? {}).map(([stream, { topics, ...given }]) => ({
      ...streamRights(Number(stream), ...granted(ALL_STREAM_RIGHTS, given)),
      topics: Object.entries(topics ?? {}).map(([topic, own]) =>
        topicRights(Number(topic), ...granted(ALL_TOPIC_RIGHTS, own)),
      ),
    }))
    return { ...globalRights(...granted(ALL_GLOBAL_RIGHTS, global)), streams: perStream }
  })
const userStatus = z.enum(['active', 'inactive'])
const options = z.record(z.string(), z.string()).default({})

const partitioning = z
  .object({ kind: z.enum(['balanced', 'partition_id', 'messages_key']), value: bytes.default(new Uint8Array(0)) })
  .transform(({ kind, value }, ctx): Partitioning => {
    if (kind === 'balanced') return { kind: 'balanced' }
    if (kind === 'messages_key') return { kind: 'key', key: value }
    if (value.length === 4)
      return { kind: 'partition', partition: new DataView(value.buffer, value.byteOffset).getUint32(0, true) }
    ctx.addIssue({ code: 'custom', path: ['value'], message: 'a partition id is four bytes, little-endian, in base64' })
    return z.NEVER
  })

const headerField = z.object({ kind: z.enum(Object.keys(HeaderKind) as [keyof typeof HeaderKind]), value: bytes })
const ID_END = 1n << 128n

/** A number, its digits as a string, or a UUID. 0: none is given. */
const messageId = z.union([z.int().min(0), z.bigint(), z.string().max(64)]).transform((value, ctx): bigint => {
  const digits = typeof value !== 'string' || /^\d{1,39}$/.test(value)
  if (digits && BigInt(value) < ID_END) return BigInt(value)
  const hex = String(value).replaceAll('-', '')
  if (/^[0-9a-fA-F]{32}$/.test(hex)) return BigInt(`0x${hex}`)
  ctx.addIssue({ code: 'custom', message: 'an id is a number of at most 128 bits or a UUID' })
  return z.NEVER
})

// ---- bodies ------------------------------------------------------------------------------------------------------------

/** By the names of the API, the numbers of the wire. */
const COMPRESSIONS = { Stored: 1, Deflated: 2, Bzip2: 3, Zstd: 4, Lzma: 5, Xz: 6 } as const
const SNAPSHOT_TYPES = {
  FilesystemOverview: 1,
  ProcessList: 2,
  ResourceUsage: 3,
  Test: 4,
  ServerLogs: 5,
  ServerConfig: 6,
  All: 100,
} as const

function numbered<T extends string>(names: Readonly<Record<T, number>>) {
  return z.enum(Object.keys(names) as [T]).transform((key) => names[key])
}

export const Bodies = {
  snapshot: z.object({
    compression: numbered(COMPRESSIONS).default(COMPRESSIONS.Deflated),
    snapshot_types: z.array(numbered(SNAPSHOT_TYPES)).max(16).default([SNAPSHOT_TYPES.All]),
  }),
  login: z.object({ username: secret, password: secret }),
  tokenLogin: z.object({ token: secret }),
  createStream: z.object({ name }),
  updateStream: z.object({ name, options }),
  createTopic: z.object({
    name,
    partitions_count: u32,
    compression_algorithm: z.enum(['none', 'gzip']).default('none'),
    message_expiry: u64OrUnlimited.default(0),
    max_topic_size: u64OrUnlimited.default(0),
    options,
  }),
  updateTopic: z.object({
    name,
    compression_algorithm: z.enum(['none', 'gzip']).nullish(),
    message_expiry: u64OrUnlimited.nullish(),
    max_topic_size: u64OrUnlimited.nullish(),
    options,
  }),
  createPartitions: z.object({ partitions_count: u32 }),
  createGroup: z.object({ name }),
  createUser: z.object({
    username: name,
    password: secret,
    status: userStatus.default('active'),
    permissions: permissions.nullish(),
  }),
  updateUser: z.object({ username: name.nullish(), status: userStatus.nullish(), options }),
  permissions: z.object({ permissions: permissions.nullish() }),
  changePassword: z.object({ current_password: secret, new_password: secret }),
  createToken: z.object({ name, expiry: u64OrUnlimited.default(Number.POSITIVE_INFINITY) }),
  storeOffset: z.object({
    consumer_id: z.union([u32, text]).default(1),
    consumer_kind: z.enum(['consumer', 'consumer_group']).default('consumer'),
    partition_id: u32.nullish(),
    offset: u64,
  }),
  sendMessages: z.strictObject({
    partitioning,
    messages: z.array(
      z.object({
        id: messageId.optional(),
        payload: bytes,
        user_headers: z.union([bytes, z.array(z.object({ key: headerField, value: headerField }))]).nullish(),
      }),
    ),
  }),
} as const

export type SendBody = z.infer<typeof Bodies.sendMessages>

export function parseBody<T>(schema: z.ZodType<T>, raw: Uint8Array): T {
  let body: unknown
  try {
    body = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(raw))
  } catch {
    throw refuse(Status.invalidFormat, 'the body is not valid JSON')
  }
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  // The value is not shown: it may be a secret.
  const field = issue === undefined ? '' : issue.path.map(String).join('.').slice(0, 200)
  const why = issue?.code === 'unrecognized_keys' ? 'unknown field' : (issue?.message ?? 'not as expected')
  throw refuse(
    Status.invalidFormat,
    field === '' ? `the body is not what this route takes: ${why}` : `${field}: ${why}`,
    field === '' ? undefined : field,
  )
}

// ---- query strings -----------------------------------------------------------------------------------------------------

type Query = Readonly<Record<string, string>>

function bad(field: string, what: string): never {
  throw refuse(Status.invalidFormat, `${field}: ${what}`, field)
}

export function numberOf(query: Query, field: string, standard: number | null, max = Number.MAX_SAFE_INTEGER): number {
  const given = query[field]
  if (given === undefined) return standard ?? bad(field, 'is missing')
  if (!/^\d{1,16}$/.test(given) || Number(given) > max) return bad(field, `a whole number from 0 to ${max}`)
  return Number(given)
}

export function u32Of(query: Query, field: string, standard: number | null = null): number {
  return numberOf(query, field, standard, U32_MAX)
}

function choiceOf<T extends string>(query: Query, field: string, choices: readonly T[], standard: T): T {
  const given = query[field]
  if (given === undefined) return standard
  return choices.find((choice) => choice === given) ?? bad(field, `one of ${choices.join(', ')}`)
}

export function consumerOf(query: Query): Consumer {
  const kind = choiceOf(query, 'consumer_kind', ['consumer', 'consumer_group'], 'consumer')
  return { kind: kind === 'consumer' ? 'consumer' : 'group', id: identifierOf(query.consumer_id ?? '1') }
}

export function pollFromOf(query: Query): PollFrom {
  const kind = choiceOf(query, 'kind', ['offset', 'timestamp', 'first', 'last', 'next'], 'offset')
  if (kind === 'offset') return { kind, offset: numberOf(query, 'value', 0) }
  if (kind === 'timestamp') return { kind, micros: numberOf(query, 'value', 0) }
  return { kind }
}

export function flagOf(query: Query, field: string): boolean {
  return choiceOf(query, field, ['true', 'false'], 'false') === 'true'
}

/** How fresh a read has to be. */
export function freshnessOf(query: Query): 'primary' | 'linearizable' | 'any' {
  const given = choiceOf(query, 'consistency', ['primary', 'serializable', 'linearizable'], 'primary')
  return given === 'serializable' ? 'any' : given
}

export function ackOf(query: Query): 'replicated' | 'none' {
  return choiceOf(query, 'ack', ['replicated', 'none'], 'replicated')
}

export function scopeOf(text: string): 'topic' | 'stream' | 'user' {
  return choiceOf({ scope: text }, 'scope', ['topic', 'stream', 'user'], 'topic')
}
