// galgo consume: messages to standard output, as text or as a JSON object a line.
import { Command, Option } from 'commander'
import type { Client, Consumer, PolledMessage } from '../../index.ts'
import { asError, CliError, usage } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { type ConnectionFlags, identifier, withConnection, withFreshness } from '../flags.ts'
import type { CliIo } from '../io.ts'
import { OutputBuffer } from '../output-buffer.ts'
import type { CommandContext } from '../program.ts'
import { printJson, printText } from '../render/message.ts'
import { withClient } from '../sdk.ts'
import { type From, from, whole } from '../values.ts'
import { noTopic } from './topic.ts'

/** A named consumer's offset is stored when so many messages were printed, or so much time has passed, since the last time. */
const COMMIT_EVERY = 1000
const COMMIT_INTERVAL_MS = 1000

interface ConsumeFlags extends ConnectionFlags {
  readonly partition?: number
  readonly from?: From
  readonly count?: number
  readonly follow?: boolean
  readonly consumer?: string
  readonly group?: string
}

export function consumeCommand({ io, action }: CommandContext): Command {
  return withFreshness(withConnection(new Command('consume')))
    .description('print messages')
    .argument('<stream>', 'name or id')
    .argument('<topic>', 'name or id')
    .addOption(new Option('--partition <n>', 'only this partition; all when absent').argParser(whole(0, 999_999)))
    .addOption(
      new Option(
        '--from <place>',
        'first, last, next (after the stored offset), offset:N or time:ISO; next with --consumer, else first',
      ).argParser(from),
    )
    .addOption(new Option('--count <n>', 'end after so many messages').argParser(whole(1, Number.MAX_SAFE_INTEGER)))
    .option('--follow', 'wait for new messages instead of ending')
    .addOption(new Option('--consumer <name>', 'store the offset of what was printed under this name'))
    .addOption(
      new Option(
        '--group <name>',
        'as a member of this group, which shares the partitions; it is made when it is not there',
      ).conflicts(['consumer', 'from', 'partition', 'linearizable', 'anyNode']),
    )
    .addHelpText(
      'after',
      `
Text prints payloads, each with a line feed. JSON prints an object a line: partition, offset, timestamp,
originTimestamp, id, headers, payload; a payload that is no UTF-8 is { "base64": … }.
Several partitions are printed one after the other, with --follow as messages come. A member of a group prints the partitions
that are its own, stores the offset of what it has written, and leaves the group at the end, also on Ctrl-C.

Examples:
  galgo consume shop orders --from first
  galgo consume shop orders --follow --consumer billing --format json
  galgo consume shop orders --follow --group billing
  galgo consume shop orders --from time:2026-01-31T12:00:00Z --count 10`,
    )
    .action(
      action(async (stream: string, topic: string, flags: ConsumeFlags) => {
        if (flags.from === 'next' && flags.consumer === undefined) {
          throw usage('--from next starts after a stored offset and needs the name it is stored under: --consumer NAME')
        }
        const { group } = flags
        return await withClient(flags, io, (client) =>
          group === undefined
            ? consume(client, io, stream, topic, flags)
            : consumeAsMember(client, io, stream, topic, group, flags),
        )
      }),
    )
}

async function consume(client: Client, io: CliIo, stream: string, topic: string, flags: ConsumeFlags): Promise<number> {
  const partitions = await partitionsOf(client, stream, topic, flags.partition)
  const output = new OutputBuffer(io.out)
  const print = flags.format === 'json' ? printJson : printText
  const enough = new AbortController()
  const signal = AbortSignal.any([io.stop, enough.signal])
  let left = flags.count ?? Number.POSITIVE_INFINITY
  const run = async (partition: number): Promise<void> => {
    const consumer = client.consumer({
      stream: identifier(stream),
      topic: identifier(topic),
      partition,
      from: flags.from ?? (flags.consumer === undefined ? 'first' : 'next'),
      follow: flags.follow === true,
      signal,
      autoCommit: false,
      ...(flags.consumer === undefined ? {} : { name: flags.consumer }),
      ...(flags.count === undefined ? {} : { count: flags.count }),
    })
    const progress = new Progress(consumer, output, flags.consumer !== undefined)
    if (flags.follow === true) progress.commitWhenIdle()
    try {
      for await (const message of consumer) {
        if (left <= 0) break
        left--
        await print(output, message)
        await progress.printed(message)
        if (left <= 0) break
      }
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      await progress.close()
    }
    if (left <= 0) enough.abort()
  }
  if (flags.follow === true) await Promise.all(partitions.map(run))
  else for (const partition of partitions) if (left > 0 && !io.stop.aborted) await run(partition)
  await output.flush()
  // Ctrl-C is how one ends --follow.
  return io.stop.aborted && flags.follow !== true ? ExitCode.interrupted : ExitCode.ok
}

/** Offsets are stored as batches have been written, and once more before the group is left. */
async function consumeAsMember(
  client: Client,
  io: CliIo,
  stream: string,
  topic: string,
  group: string,
  { count, follow = false, format }: ConsumeFlags,
): Promise<number> {
  const output = new OutputBuffer(io.out)
  const print = format === 'json' ? printJson : printText
  const consumer = client.groupConsumer({
    stream: identifier(stream),
    topic: identifier(topic),
    group: identifier(group),
    follow,
    signal: io.stop,
    beforeStore: () => output.flush(),
    ...(count === undefined ? {} : { count }),
  })
  try {
    for await (const message of consumer) await print(output, message)
  } finally {
    await consumer.close()
  }
  await output.flush()
  return io.stop.aborted && !follow ? ExitCode.interrupted : ExitCode.ok
}

async function partitionsOf(client: Client, stream: string, topic: string, wanted?: number): Promise<number[]> {
  const found = await client.getTopic(identifier(stream), identifier(topic))
  if (found === null) throw noTopic(stream, topic)
  const partitions = found.partitions.map((partition) => partition.id)
  if (wanted === undefined) return partitions
  if (partitions.includes(wanted)) return [wanted]
  throw new CliError(
    'partition-not-found',
    `topic ${topic} of ${stream} has no partition ${wanted}; it has ${partitions.length}, counted from 0`,
    ExitCode.notFound,
  )
}

/** Stores the offset of what was really written, every so often and at the end: after a crash messages come again, none is missed. */
class Progress {
  readonly #consumer: Consumer
  readonly #output: OutputBuffer
  readonly #named: boolean
  #last: PolledMessage | undefined
  #since = 0
  #at = performance.now()
  #timer: NodeJS.Timeout | undefined
  #committing: Promise<void> = Promise.resolve()
  #failure: Error | undefined

  constructor(consumer: Consumer, output: OutputBuffer, named: boolean) {
    this.#consumer = consumer
    this.#output = output
    this.#named = named
  }

  /** Without it, the last messages before a silence would stay unstored until the next one comes. */
  commitWhenIdle(): void {
    if (!this.#named) return
    this.#timer = setInterval(() => {
      this.#commit().catch((error: unknown) => {
        this.#failure ??= asError(error)
      })
    }, COMMIT_INTERVAL_MS)
  }

  async printed(message: PolledMessage): Promise<void> {
    if (!this.#named) return
    if (this.#failure !== undefined) throw this.#failure
    this.#last = message
    this.#since++
    if (this.#since >= COMMIT_EVERY || performance.now() - this.#at >= COMMIT_INTERVAL_MS) await this.#commit()
  }

  /** One at a time: an older offset must not overtake a newer one. */
  #commit(): Promise<void> {
    this.#committing = this.#committing.then(() => this.#commitLast())
    return this.#committing
  }

  async #commitLast(): Promise<void> {
    const last = this.#last
    if (last === undefined) return
    this.#last = undefined
    this.#since = 0
    this.#at = performance.now()
    await this.#output.flush()
    await this.#consumer.commit(last)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    try {
      await this.#commit()
    } finally {
      await this.#consumer.close()
    }
  }
}
