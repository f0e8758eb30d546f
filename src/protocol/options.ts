// Options of a topic: pairs (user-headers.ts) with unique String keys out of a fixed catalogue. A value may come in its own
// kind or as a String; it is stored in its own kind, sorted by key, so that equal options are equal bytes on every replica.
// Streams and users take an options block too, but have no keys yet.
import { ProtocolError, Reader, utf8Encode, Writer } from './bytes.ts'
import { Status } from './errors.ts'
import { HeaderKind, type HeaderPair, readPairs, writePair } from './user-headers.ts'

export const OPTIONS_MAX = 1024
export const OPTIONS_SIZE_MAX = 100_000

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const SEGMENT_SIZE_MIN = MIB
const SEGMENT_SIZE_MAX = GIB
const MESSAGES_TO_SAVE_MAX = 16 * MIB
const SIZE_TO_SAVE_MAX = GIB
const PREALLOCATED_MAX = 64 * GIB
export const DEDUPLICATION_WINDOW_MAX = 65_536

export type TopicDurability = 'replicated' | 'persisted'

/** What was asked for; a key that is missing takes its default. Infinity: without limit. */
export interface TopicOptions {
  readonly compressionAlgorithm?: 'none' | 'gzip'
  /** Messages of each partition, the newest, whose ids are remembered: none of them is stored twice. 0: none is remembered. */
  readonly deduplicationWindow?: number
  /** µs. */
  readonly messageExpiry?: number
  /** Bytes. */
  readonly maxTopicSize?: number
  /** Bytes. */
  readonly segmentSize?: number
  /** When a produce is acknowledged: by a majority, or by the disks of a majority. */
  readonly durability?: TopicDurability
  readonly consumerOffsetDurability?: TopicDurability
  readonly enforceFsync?: boolean
  readonly messagesRequiredToSave?: number
  /** Bytes. */
  readonly sizeOfMessagesRequiredToSave?: number
  readonly preallocateSegments?: boolean
}

export const TOPIC_DEFAULTS: Required<TopicOptions> = {
  compressionAlgorithm: 'none',
  deduplicationWindow: 0,
  messageExpiry: Number.POSITIVE_INFINITY,
  maxTopicSize: Number.POSITIVE_INFINITY,
  segmentSize: GIB,
  durability: 'replicated',
  consumerOffsetDurability: 'replicated',
  enforceFsync: false,
  messagesRequiredToSave: 1024,
  sizeOfMessagesRequiredToSave: MIB,
  preallocateSegments: false,
}

/** The wire's number for a compression label: 1 none, 2 gzip. */
export function compressionCode(label: 'none' | 'gzip'): number {
  return label === 'gzip' ? 2 : 1
}

type Key = keyof TopicOptions
type Kind = 'compression' | 'durability' | 'expiry' | 'limit' | 'size' | 'bool' | 'u32'

// Sorted by wire name: the order of the stored block.
const CATALOGUE: readonly { readonly wire: string; readonly key: Key; readonly kind: Kind }[] = [
  { wire: 'compression_algorithm', key: 'compressionAlgorithm', kind: 'compression' },
  { wire: 'consumer_offset_durability', key: 'consumerOffsetDurability', kind: 'durability' },
  { wire: 'deduplication_window', key: 'deduplicationWindow', kind: 'u32' },
  { wire: 'durability', key: 'durability', kind: 'durability' },
  { wire: 'enforce_fsync', key: 'enforceFsync', kind: 'bool' },
  { wire: 'max_topic_size', key: 'maxTopicSize', kind: 'limit' },
  { wire: 'message_expiry', key: 'messageExpiry', kind: 'expiry' },
  { wire: 'messages_required_to_save', key: 'messagesRequiredToSave', kind: 'u32' },
  { wire: 'preallocate_segments', key: 'preallocateSegments', kind: 'bool' },
  { wire: 'segment_size', key: 'segmentSize', kind: 'size' },
  { wire: 'size_of_messages_required_to_save', key: 'sizeOfMessagesRequiredToSave', kind: 'size' },
]
const BY_WIRE = new Map(CATALOGUE.map((row) => [row.wire, row]))

const UPDATABLE = ['compressionAlgorithm', 'messageExpiry', 'maxTopicSize'] as const satisfies readonly Key[]

/** What may change after the creation; 0 for a size or an expiry: the default again. */
export type TopicUpdate = Pick<TopicOptions, (typeof UPDATABLE)[number]>

/** What the server tells of an option. */
export interface OptionDescription {
  readonly key: string
  /** Of its value, as headers have kinds. */
  readonly kind: number
  /** The default, in that kind. */
  readonly standard: Uint8Array
  readonly description: string
}

const DESCRIPTIONS: Readonly<Record<Key, string>> = {
  compressionAlgorithm: 'none or gzip: a label for clients, the server compresses nothing',
  consumerOffsetDurability: 'replicated or persisted; what the cluster does was chosen when it was made',
  deduplicationWindow:
    'messages of a partition, up to 65536, whose ids are remembered; one with such an id is answered, but not stored again; 0: off',
  durability: 'replicated or persisted; what the cluster does was chosen when it was made',
  enforceFsync: 'kept for clients that set it: every acknowledged message is on disk',
  maxTopicSize: 'bytes, or a size like 1 GiB; all ones: unlimited',
  messageExpiry: 'microseconds, or a time like 7days; all ones: never',
  messagesRequiredToSave: 'kept for clients that set it: every acknowledged message is on disk',
  preallocateSegments: 'kept for clients that set it: segments grow as they are written',
  segmentSize: 'bytes, a multiple of 512 from 1 MiB to 1 GiB, or a size like 128 MiB',
  sizeOfMessagesRequiredToSave: 'kept for clients that set it: every acknowledged message is on disk',
}

function text(bytes: Uint8Array, status: number): string {
  try {
    return new Reader(bytes).text(bytes.length)
  } catch {
    throw new ProtocolError(status, 'an option is not valid UTF-8')
  }
}

/** Checks the rules of every options block: size, count, String keys, no key twice. */
function readOptionPairs(reader: Reader): Map<string, HeaderPair> {
  if (reader.remaining > OPTIONS_SIZE_MAX) {
    throw new ProtocolError(
      Status.invalidCommand,
      `an options block of ${reader.remaining} bytes; 100,000 are the most`,
    )
  }
  const byKey = new Map<string, HeaderPair>()
  for (const pair of readPairs(reader, OPTIONS_MAX)) {
    if (pair.keyKind !== HeaderKind.string) {
      throw new ProtocolError(Status.invalidCommand, `an option key of kind ${pair.keyKind}; keys are strings`)
    }
    const key = text(pair.key, Status.invalidCommand)
    if (byKey.has(key)) throw new ProtocolError(Status.invalidCommand, `the option ${key} is given twice`)
    byKey.set(key, pair)
  }
  return byKey
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1e3,
  kb: 1e3,
  m: 1e6,
  mb: 1e6,
  g: 1e9,
  gb: 1e9,
  t: 1e12,
  tb: 1e12,
  ki: 1024,
  kib: 1024,
  mi: MIB,
  mib: MIB,
  gi: GIB,
  gib: GIB,
  ti: GIB * 1024,
  tib: GIB * 1024,
}

/** `128MiB`, `1.5 GB`, `1000`; undefined when it is no size. */
export function parseByteSize(value: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(value.trim())
  const unit = match === null ? undefined : BYTE_UNITS[(match[2] as string).toLowerCase()]
  if (match === null || unit === undefined) return undefined
  const size = Math.round(Number(match[1]) * unit)
  return size <= Number.MAX_SAFE_INTEGER ? size : undefined
}

const SECOND = 1_000_000
const DURATION_UNITS: readonly (readonly [RegExp, number])[] = [
  [/^(nanos?|nsecs?|ns)$/, 1e-3],
  [/^(micros?|usecs?|us|µs)$/, 1],
  [/^(millis?|msecs?|ms)$/, 1e3],
  [/^(seconds?|secs?|s)$/, SECOND],
  [/^(minutes?|mins?|m)$/, 60 * SECOND],
  [/^(hours?|hrs?|h)$/, 3600 * SECOND],
  [/^(days?|d)$/, 86_400 * SECOND],
  [/^(weeks?|w)$/, 604_800 * SECOND],
  [/^(months?|M)$/, 2_630_016 * SECOND],
  [/^(years?|y)$/, 31_557_600 * SECOND],
]

/** `7 days`, `1h 30m`, in µs; undefined when it is no duration. At most 2^32 - 1 seconds. */
export function parseDuration(value: string): number | undefined {
  let rest = value.trim()
  if (rest === '0') return 0
  if (rest === '') return undefined
  let micros = 0
  while (rest !== '') {
    const match = /^(\d+)\s*([a-zµ]+)\s*/i.exec(rest)
    const unit = match && DURATION_UNITS.find(([pattern]) => pattern.test(match[2] as string))
    if (!match || !unit) return undefined
    micros += Number(match[1]) * unit[1]
    rest = rest.slice(match[0].length)
  }
  return micros <= 0xffff_ffff * SECOND ? Math.floor(micros) : undefined
}

function parseText(kind: Kind, value: string): string | number | boolean | undefined {
  switch (kind) {
    case 'compression': {
      const label = value.toLowerCase()
      return label === 'none' || label === 'gzip' ? label : undefined
    }
    case 'durability':
      return value === 'replicated' || value === 'persisted' ? value : undefined
    case 'bool':
      return value === 'true' ? true : value === 'false' ? false : undefined
    case 'u32':
      return /^\d{1,10}$/.test(value) && Number(value) <= 0xffff_ffff ? Number(value) : undefined
    case 'expiry':
      if (['unlimited', 'none', 'None', 'Unlimited', 'never_expire'].includes(value)) return Number.POSITIVE_INFINITY
      if (['default', 'server_default', 'Default', 'Server_default'].includes(value)) return 0
      return parseDuration(value)
    case 'limit':
      if (value === 'unlimited') return Number.POSITIVE_INFINITY
      return value === 'server_default' ? 0 : parseByteSize(value)
    case 'size':
      return ['unlimited', 'Unlimited', 'none', 'None'].includes(value) ? 0 : parseByteSize(value)
  }
}

function parseValue(kind: Kind, valueKind: number, bytes: Uint8Array): string | number | boolean | undefined {
  if (valueKind === HeaderKind.string) return parseText(kind, text(bytes, Status.invalidOptionValue))
  const reader = new Reader(bytes)
  switch (kind) {
    case 'compression':
      if (valueKind !== HeaderKind.uint8 || bytes.length !== 1) return undefined
      return bytes[0] === 1 ? 'none' : bytes[0] === 2 ? 'gzip' : undefined
    case 'durability':
      return undefined
    case 'bool':
      return valueKind === HeaderKind.bool && bytes.length === 1 && (bytes[0] as number) <= 1
        ? bytes[0] === 1
        : undefined
    case 'u32':
      return valueKind === HeaderKind.uint32 && bytes.length === 4 ? reader.u32() : undefined
    case 'expiry':
    case 'limit':
    case 'size':
      if (valueKind !== HeaderKind.uint64 || bytes.length !== 8) return undefined
      return reader.u64OrUnlimited()
  }
}

function badValue(wire: string): ProtocolError {
  return new ProtocolError(Status.invalidOptionValue, `the value of the option ${wire} is not valid`)
}

function checkBounds(wire: string, key: Key, value: string | number | boolean): void {
  if (typeof value !== 'number') return
  let ok = true
  if (key === 'deduplicationWindow') ok = value <= DEDUPLICATION_WINDOW_MAX
  if (key === 'segmentSize') ok = value >= SEGMENT_SIZE_MIN && value <= SEGMENT_SIZE_MAX && value % 512 === 0
  if (key === 'messagesRequiredToSave') ok = value >= 1 && value <= MESSAGES_TO_SAVE_MAX
  if (key === 'sizeOfMessagesRequiredToSave') ok = value <= SIZE_TO_SAVE_MAX
  if (!ok) throw badValue(wire)
}

const STANDARD = Symbol('the default')

/** To the end of the block, each value checked by itself. */
function* readValues(reader: Reader): Generator<[Key, string | number | boolean | typeof STANDARD]> {
  for (const [wire, pair] of readOptionPairs(reader)) {
    const row = BY_WIRE.get(wire)
    if (row === undefined) {
      throw new ProtocolError(Status.unsupportedOptionKey, `the option ${wire.slice(0, 64)} is unknown`)
    }
    let value: string | number | boolean | undefined
    try {
      value = parseValue(row.kind, pair.valueKind, pair.value)
    } catch {
      throw badValue(wire)
    }
    if (value === undefined) throw badValue(wire)
    if (value === 0 && row.kind !== 'u32') {
      yield [row.key, STANDARD]
      continue
    }
    checkBounds(wire, row.key, value)
    yield [row.key, value]
  }
}

/**
 * Reads to the end and checks against the catalogue. 0 for a size or an expiry means "the default" and is left out.
 * @throws ProtocolError 4041 for an unknown key, 4042 for a value of the wrong kind or out of bounds, 3 for a broken block.
 */
export function readTopicOptions(reader: Reader, partitions = 1): TopicOptions {
  const options: Record<string, string | number | boolean> = {}
  for (const [key, value] of readValues(reader)) if (value !== STANDARD) options[key] = value
  const parsed: TopicOptions = options
  const segmentSize = parsed.segmentSize ?? TOPIC_DEFAULTS.segmentSize
  if (parsed.preallocateSegments === true && segmentSize * partitions > PREALLOCATED_MAX) {
    throw badValue('preallocate_segments')
  }
  return parsed
}

/**
 * Reads to the end what an update changes.
 * @throws ProtocolError as readTopicOptions; 4041 also for an option that is fixed when the topic is created.
 */
export function readTopicUpdate(reader: Reader): TopicUpdate {
  const options: Record<string, string | number | boolean> = {}
  for (const [key, value] of readValues(reader)) {
    if (!UPDATABLE.some((updatable) => updatable === key))
      throw new ProtocolError(Status.unsupportedOptionKey, `the option ${key} is fixed when a topic is created`)
    options[key] = value === STANDARD ? 0 : value
  }
  return options
}

/** Does it want nothing acknowledged that is not on the disks of a majority? */
export function wantsDisk({ durability, consumerOffsetDurability, enforceFsync }: TopicOptions): boolean {
  return durability === 'persisted' || consumerOffsetDurability === 'persisted' || enforceFsync === true
}

/** The options with an update's changes. */
export function updatedOptions(options: TopicOptions, update: TopicUpdate): TopicOptions {
  const next: Record<string, unknown> = { ...options }
  for (const [key, value] of Object.entries(update)) {
    if (value === 0) delete next[key]
    else next[key] = value
  }
  return next
}

/** The catalogue of a topic's options. */
export function describeTopicOptions(): OptionDescription[] {
  return CATALOGUE.map(({ wire, key, kind }) => {
    const { kind: headerKind, bytes } = encodeValue(kind, TOPIC_DEFAULTS[key])
    return { key: wire, kind: headerKind, standard: bytes.slice(), description: DESCRIPTIONS[key] }
  })
}

/** Reads an options block that has no keys yet (streams, users): any key is 4041. */
export function readNoOptions(reader: Reader): void {
  for (const wire of readOptionPairs(reader).keys()) {
    throw new ProtocolError(Status.unsupportedOptionKey, `the option ${wire.slice(0, 64)} is unknown`)
  }
}

function encodeValue(kind: Kind, value: string | number | boolean): { kind: HeaderKind; bytes: Uint8Array } {
  const writer = new Writer()
  switch (kind) {
    case 'compression':
    case 'durability':
      return { kind: HeaderKind.string, bytes: utf8Encode(String(value)) }
    case 'bool':
      return { kind: HeaderKind.bool, bytes: writer.bool(value === true).written() }
    case 'u32':
      return { kind: HeaderKind.uint32, bytes: writer.u32(Number(value)).written() }
    case 'expiry':
    case 'limit':
    case 'size':
      return { kind: HeaderKind.uint64, bytes: writer.u64OrUnlimited(Number(value)).written() }
  }
}

/** The options that are given, in their own kinds, sorted by key. */
export function writeTopicOptions(writer: Writer, options: TopicOptions): void {
  for (const row of CATALOGUE) {
    const value = options[row.key]
    if (value === undefined) continue
    const { kind, bytes } = encodeValue(row.kind, value)
    writePair(writer, { keyKind: HeaderKind.string, key: utf8Encode(row.wire), valueKind: kind, value: bytes })
  }
}

/** The block of what was given (`explicit`) and the block of the defaults that fill the gaps (`derived`). */
export function topicOptionBlocks(options: TopicOptions): { explicit: Uint8Array; derived: Uint8Array } {
  const explicit = new Writer()
  writeTopicOptions(explicit, options)
  const gaps: Record<string, string | number | boolean> = {}
  for (const row of CATALOGUE) if (options[row.key] === undefined) gaps[row.key] = TOPIC_DEFAULTS[row.key]
  const derived = new Writer()
  writeTopicOptions(derived, gaps)
  return { explicit: explicit.written(), derived: derived.written() }
}
