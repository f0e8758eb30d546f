// galgo topic: create, list, get, rename, update, purge, delete.
import { Command, Option } from 'commander'
import type { TopicUpdate } from '../../index.ts'
import type { TopicRecord } from '../../protocol/commands/topic-record.ts'
import { DEDUPLICATION_WINDOW_MAX } from '../../protocol/options.ts'
import { CliError, usage } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { type ConnectionFlags, identifier, withConnection, withFreshness } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { answer } from '../render/answer.ts'
import { fields, size, table, time } from '../render/table.ts'
import { withClient } from '../sdk.ts'
import { bytes, duration, either, oneOf, whole } from '../values.ts'

export const PARTITIONS_MAX = 1000
/** 2^32 seconds: more the wire does not carry. */
const EXPIRY_MAX_MS = 0xffff_ffff * 1000

export function topicCommand(context: CommandContext): Command {
  const topic = new Command('topic').description('create, list, look at, change, empty and delete topics')
  topic.addCommand(create(context))
  topic.addCommand(list(context))
  topic.addCommand(get(context))
  topic.addCommand(rename(context))
  topic.addCommand(update(context))
  topic.addCommand(purge(context))
  topic.addCommand(remove(context))
  return topic
}

interface RetentionFlags {
  readonly expiry?: number | 'never' | 'default'
  readonly sizeMax?: number | 'unlimited' | 'default'
  readonly compression?: 'none' | 'gzip'
}

function withRetention(command: Command): Command {
  return command
    .addOption(
      new Option('--expiry <time>', 'how long messages are kept, like 7d; never, or default').argParser(
        either(['never', 'default'], duration(1, EXPIRY_MAX_MS)),
      ),
    )
    .addOption(
      new Option(
        '--size-max <size>',
        'how much the topic may hold before its oldest go; unlimited, or default',
      ).argParser(either(['unlimited', 'default'], bytes(1, Number.MAX_SAFE_INTEGER))),
    )
    .addOption(
      new Option('--compression <label>', 'none or gzip, a label for clients').argParser(oneOf('none', 'gzip')),
    )
}

/** 0 is the default of the cluster, infinity no limit. */
function retentionOf({ expiry, sizeMax, compression }: RetentionFlags): TopicUpdate {
  const limit = (value: number | string): number =>
    typeof value === 'number' ? value : value === 'default' ? 0 : Number.POSITIVE_INFINITY
  return {
    ...(expiry === undefined ? {} : { messageExpiry: limit(expiry) * 1000 }),
    ...(sizeMax === undefined ? {} : { maxTopicSize: limit(sizeMax) }),
    ...(compression === undefined ? {} : { compressionAlgorithm: compression }),
  }
}

interface CreateFlags extends ConnectionFlags, RetentionFlags {
  readonly partitions: number
  readonly segmentSize?: number
  readonly deduplicationWindow?: number
}

function create({ io, action }: CommandContext): Command {
  return withRetention(withConnection(new Command('create')))
    .description('create a topic')
    .argument('<stream>', 'name or id')
    .argument('<topic>', 'its name, 1 to 255 bytes')
    .addOption(new Option('--partitions <n>', 'how many partitions').argParser(whole(1, PARTITIONS_MAX)).default(1))
    .addOption(
      new Option('--segment-size <size>', 'messages go by whole segments; 1MiB to 1GiB, 1GiB when absent').argParser(
        bytes(1024 ** 2, 1024 ** 3),
      ),
    )
    .addOption(
      new Option(
        '--deduplication-window <n>',
        'of so many messages of a partition, the newest, none is stored twice, by its id',
      ).argParser(whole(0, DEDUPLICATION_WINDOW_MAX)),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  galgo topic create shop orders --partitions 3\n  galgo topic create shop clicks --expiry 7d --size-max 10GiB --segment-size 64MiB',
    )
    .action(
      action(async (stream: string, name: string, flags: CreateFlags) => {
        const topic = await withClient(flags, io, (client) =>
          client.createTopic(identifier(stream), name, {
            partitions: flags.partitions,
            ...retentionOf(flags),
            ...(flags.segmentSize === undefined ? {} : { segmentSize: flags.segmentSize }),
            ...(flags.deduplicationWindow === undefined ? {} : { deduplicationWindow: flags.deduplicationWindow }),
          }),
        )
        const row = topicRow(topic)
        await io.out(
          flags.format === 'json'
            ? `${JSON.stringify(row)}\n`
            : `topic ${row.name} created in ${stream}, id ${row.id}, ${plural(row.partitions, 'partition')}\n`,
        )
        return undefined
      }),
    )
}

function list({ io, action }: CommandContext): Command {
  return withFreshness(withConnection(new Command('list')))
    .description('list the topics of a stream')
    .argument('<stream>', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo topic list shop')
    .action(
      action(async (stream: string, flags: ConnectionFlags) => {
        const rows = topicRows(
          await withClient(flags, io, async (client) => {
            const topics = await client.listTopics(identifier(stream))
            // Of a stream that is not there, none are listed either.
            if (topics.length === 0 && (await client.getStream(identifier(stream))) === null) throw noStream(stream)
            return topics
          }),
        )
        if (flags.format === 'json') await io.out(`${JSON.stringify(rows)}\n`)
        else if (rows.length === 0) io.err(`no topics yet; create one with: galgo topic create ${stream} NAME\n`)
        else await io.out(topicTable(rows))
        return undefined
      }),
    )
}

function get({ io, action }: CommandContext): Command {
  return withFreshness(withConnection(new Command('get')))
    .description('show a topic and its partitions')
    .argument('<stream>', 'name or id')
    .argument('<topic>', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo topic get shop orders')
    .action(
      action(async (stream: string, name: string, flags: ConnectionFlags) => {
        const found = await withClient(flags, io, (client) => client.getTopic(identifier(stream), identifier(name)))
        if (found === null) throw noTopic(stream, name)
        const row = topicRow(found.topic)
        const partitions = found.partitions.map((partition) => ({
          id: partition.id,
          messages: partition.messagesCount,
          size: partition.size,
          segments: partition.segmentsCount,
          // The wire has no word for "none yet".
          lastOffset: partition.messagesCount === 0 ? null : partition.currentOffset,
          created: time(partition.createdAt),
        }))
        if (flags.format === 'json') {
          await io.out(`${JSON.stringify({ ...row, partitions })}\n`)
          return undefined
        }
        await io.out(
          fields([
            ['topic', `${row.name} (id ${row.id}) of stream ${stream}`],
            ['created', row.created],
            ['messages', row.messages],
            ['size', size(row.size)],
            ['expiry', row.expiryMs === null ? 'never' : `${row.expiryMs / 1000} s`],
            ['size limit', row.sizeMax === null ? 'none' : size(row.sizeMax)],
          ]),
        )
        const partitionTable = table(partitions, [
          { title: 'partition', value: (partition) => partition.id, align: 'right' },
          { title: 'messages', value: (partition) => partition.messages, align: 'right' },
          { title: 'last offset', value: (partition) => partition.lastOffset ?? '-', align: 'right' },
          { title: 'size', value: (partition) => size(partition.size), align: 'right' },
          { title: 'segments', value: (partition) => partition.segments, align: 'right' },
        ])
        await io.out(`\n${partitionTable}`)
        return undefined
      }),
    )
}

function rename({ io, action }: CommandContext): Command {
  return withConnection(new Command('rename'))
    .description('give a topic another name')
    .argument('<stream>', 'name or id')
    .argument('<topic>', 'name or id')
    .argument('<name>', 'its new name, 1 to 255 bytes')
    .addHelpText('after', '\nExample:\n  galgo topic rename shop orders purchases')
    .action(
      action(async (stream: string, topic: string, name: string, flags: ConnectionFlags) => {
        await withClient(flags, io, (client) => client.updateTopic(identifier(stream), identifier(topic), name))
        await io.out(flags.format === 'json' ? `${JSON.stringify({ renamed: name })}\n` : `topic ${topic} is ${name}\n`)
        return undefined
      }),
    )
}

function update({ io, action }: CommandContext): Command {
  return withRetention(withConnection(new Command('update')))
    .description('change how long, and how much, a topic keeps; what is not named stays as it is')
    .argument('<stream>', 'name or id')
    .argument('<topic>', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo topic update shop orders --expiry 7d --size-max unlimited')
    .action(
      action(async (stream: string, topic: string, flags: ConnectionFlags & RetentionFlags) => {
        const change = retentionOf(flags)
        if (Object.keys(change).length === 0)
          throw usage('nothing to change; give --expiry, --size-max or --compression')
        const row = await withClient(flags, io, async (client) => {
          const place = [identifier(stream), identifier(topic)] as const
          const found = await client.getTopic(...place)
          if (found === null) throw noTopic(stream, topic)
          // The wire sends the name along with every change.
          await client.updateTopic(...place, found.topic.name, change)
          const changed = await client.getTopic(...place)
          return topicRow((changed ?? found).topic)
        })
        return await answer(
          io,
          flags,
          row,
          `topic ${row.name} keeps messages ${row.expiryMs === null ? 'for ever' : `for ${row.expiryMs / 1000} s`}, up to ${row.sizeMax === null ? 'any size' : size(row.sizeMax)}\n`,
        )
      }),
    )
}

function purge({ io, action }: CommandContext): Command {
  return withConnection(new Command('purge'))
    .description('remove all messages and stored offsets of a topic; offsets begin at 0 again')
    .argument('<stream>', 'name or id')
    .argument('<topic>', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo topic purge shop orders')
    .action(
      action(async (stream: string, topic: string, flags: ConnectionFlags) => {
        await withClient(flags, io, (client) => client.purgeTopic(identifier(stream), identifier(topic)))
        await io.out(flags.format === 'json' ? `${JSON.stringify({ purged: topic })}\n` : `topic ${topic} is empty\n`)
        return undefined
      }),
    )
}

function remove({ io, action }: CommandContext): Command {
  return withConnection(new Command('delete'))
    .description('delete a topic with all its messages')
    .argument('<stream>', 'name or id')
    .argument('<topic>', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo topic delete shop orders')
    .action(
      action(async (stream: string, name: string, flags: ConnectionFlags) => {
        await withClient(flags, io, (client) => client.deleteTopic(identifier(stream), identifier(name)))
        await io.out(
          flags.format === 'json'
            ? `${JSON.stringify({ deleted: name, stream })}\n`
            : `topic ${name} of ${stream} deleted\n`,
        )
        return undefined
      }),
    )
}

export function noStream(name: string): CliError {
  return new CliError(
    'stream-not-found',
    `there is no stream ${name}; see them with: galgo stream list`,
    ExitCode.notFound,
  )
}

export function noTopic(stream: string, topic: string): CliError {
  return new CliError(
    'topic-not-found',
    `there is no topic ${topic} in stream ${stream}; see them with: galgo topic list ${stream}`,
    ExitCode.notFound,
  )
}

type TopicLike = Pick<
  TopicRecord,
  'id' | 'name' | 'createdAt' | 'partitionsCount' | 'messagesCount' | 'size' | 'messageExpiry' | 'maxTopicSize'
>

/** JSON has no infinity: null is "never" and "none". */
function topicRow(topic: TopicLike) {
  return {
    id: topic.id,
    name: topic.name,
    partitions: topic.partitionsCount,
    messages: topic.messagesCount,
    size: topic.size,
    expiryMs: Number.isFinite(topic.messageExpiry) ? topic.messageExpiry / 1000 : null,
    sizeMax: Number.isFinite(topic.maxTopicSize) ? topic.maxTopicSize : null,
    created: time(topic.createdAt),
  }
}

export type TopicRow = ReturnType<typeof topicRow>

export function topicRows(topics: readonly TopicLike[]): TopicRow[] {
  return topics.map(topicRow)
}

export function topicTable(rows: readonly TopicRow[]): string {
  return table(rows, [
    { title: 'id', value: (row) => row.id, align: 'right' },
    { title: 'name', value: (row) => row.name },
    { title: 'partitions', value: (row) => row.partitions, align: 'right' },
    { title: 'messages', value: (row) => row.messages, align: 'right' },
    { title: 'size', value: (row) => size(row.size), align: 'right' },
    { title: 'created', value: (row) => row.created },
  ])
}

export function plural(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
