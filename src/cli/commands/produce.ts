// galgo produce: a message per line of standard input.
import { Command, Option } from 'commander'
import type { Producer } from '../../index.ts'
import { asError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { type ConnectionFlags, identifier, withConnection } from '../flags.ts'
import { lines, until } from '../lines.ts'
import type { CommandContext } from '../program.ts'
import { count, size } from '../render/table.ts'
import { withClient } from '../sdk.ts'
import { duration, header, whole } from '../values.ts'
import { plural } from './topic.ts'

/** Messages that may be on their way at once; beyond, standard input waits. */
const OUTSTANDING_MAX = 16_384
const OUTSTANDING_BYTES_MAX = 16 * 1024 * 1024

interface ProduceFlags extends ConnectionFlags {
  readonly partition?: number
  readonly key?: string
  readonly header?: Record<string, string>
  readonly batch: number
  readonly linger: number
}

export function produceCommand({ io, action }: CommandContext): Command {
  return withConnection(new Command('produce'))
    .description('append a message per line of standard input')
    .argument('<stream>', 'name or id')
    .argument('<topic>', 'name or id')
    .addOption(
      new Option('--partition <n>', 'append to this partition; in turn to all of them when absent').argParser(
        whole(0, 999_999),
      ),
    )
    .addOption(new Option('--key <key>', 'the partition follows from this key').conflicts('partition'))
    .addOption(new Option('--header <name=value>', 'a header for every message; may be repeated').argParser(header))
    .addOption(new Option('--batch <n>', 'messages in a batch at most').argParser(whole(1, 100_000)).default(1000))
    .addOption(
      new Option('--linger <time>', 'how long a batch waits for more messages')
        .argParser(duration(0, 60_000))
        .default(5, '5ms'),
    )
    .addHelpText(
      'after',
      `
Empty lines are skipped: a message is never empty. Every line was appended when the command ends with 0.

Examples:
  echo '{"id":1}' | galgo produce shop orders
  galgo produce shop orders --key customer-7 --header source=import < orders.ndjson`,
    )
    .action(
      action(async (stream: string, topic: string, flags: ProduceFlags) => {
        if (io.inputIsTerminal) io.err('a message per line; Ctrl-D ends\n')
        const started = performance.now()
        const tally = await withClient(flags, io, async (client) => {
          const producer = client.producer({
            stream: identifier(stream),
            topic: identifier(topic),
            ...(flags.key === undefined ? { partition: flags.partition ?? 'balanced' } : {}),
            batchSize: flags.batch,
            lingerMs: flags.linger,
          })
          const failed = new AbortController()
          const input = lines(until(AbortSignal.any([io.stop, failed.signal]), io.input))
          try {
            return await sendAll(producer, input, flags, () => failed.abort())
          } finally {
            await producer.close()
          }
        })
        const seconds = (performance.now() - started) / 1000
        await io.out(flags.format === 'json' ? `${JSON.stringify({ ...report(tally), seconds })}\n` : text(tally))
        return io.stop.aborted ? ExitCode.interrupted : ExitCode.ok
      }),
    )
}

export interface Tally {
  messages: number
  bytes: number
  skipped: number
  readonly partitions: Map<number, { messages: number; first: number; last: number }>
}

/**
 * Sends every line, keeps a bounded number on their way, and answers when all are acknowledged. `stopReading` ends the input: who
 * waits for its next line would not hear that one before it failed.
 */
export async function sendAll(
  producer: Pick<Producer, 'send' | 'flush'>,
  input: AsyncIterable<Uint8Array>,
  flags: Pick<ProduceFlags, 'key' | 'header'>,
  stopReading: () => void = () => {},
): Promise<Tally> {
  const tally: Tally = { messages: 0, bytes: 0, skipped: 0, partitions: new Map() }
  const waiting: { sent: Promise<unknown>; size: number }[] = []
  let waitingBytes = 0
  let failure: Error | undefined
  const settle = async (): Promise<void> => {
    const oldest = waiting.shift()
    if (oldest === undefined) return
    await oldest.sent
    waitingBytes -= oldest.size
    if (failure !== undefined) throw failure
  }
  const fixed = {
    ...(flags.key === undefined ? {} : { key: flags.key }),
    ...(flags.header === undefined ? {} : { headers: flags.header }),
  }
  for await (const line of input) {
    if (line.length === 0) {
      tally.skipped++
      continue
    }
    const sent = producer.send({ payload: line, ...fixed }).then(
      ({ partition, offset }) => note(tally, partition, offset, line.length),
      (error: unknown) => {
        failure ??= asError(error)
        stopReading()
      },
    )
    waiting.push({ sent, size: line.length })
    waitingBytes += line.length
    while (waiting.length > OUTSTANDING_MAX || waitingBytes > OUTSTANDING_BYTES_MAX) await settle()
  }
  await producer.flush()
  while (waiting.length > 0) await settle()
  return tally
}

function note(tally: Tally, partition: number, offset: number, bytes: number): void {
  tally.messages++
  tally.bytes += bytes
  const seen = tally.partitions.get(partition)
  if (seen === undefined) {
    tally.partitions.set(partition, { messages: 1, first: offset, last: offset })
    return
  }
  seen.messages++
  seen.first = Math.min(seen.first, offset)
  seen.last = Math.max(seen.last, offset)
}

function report(tally: Tally) {
  const partitions = [...tally.partitions]
    .map(([partition, seen]) => ({ partition, ...seen }))
    .sort((a, b) => a.partition - b.partition)
  return { messages: tally.messages, bytes: tally.bytes, skipped: tally.skipped, partitions }
}

function text(tally: Tally): string {
  const { messages, bytes, skipped, partitions } = report(tally)
  const places = partitions.map(({ partition, first, last }) =>
    first === last ? `partition ${partition} offset ${first}` : `partition ${partition} offsets ${first} to ${last}`,
  )
  const noted = skipped === 0 ? '' : `, ${plural(skipped, 'empty line')} skipped`
  if (messages === 0) return `no messages${noted}\n`
  return `${count(messages)} ${messages === 1 ? 'message' : 'messages'}, ${size(bytes)}: ${places.join(', ')}${noted}\n`
}
