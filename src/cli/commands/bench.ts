// galgo bench: produce, consume, latency. Flags here, the work in ../bench.
import { Command, InvalidArgumentError, Option } from 'commander'
import type { BenchFlags } from '../bench/benchmarks.ts'
import { type ConnectionFlags, withConnection } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { bytes, duration, whole } from '../values.ts'

const MANY = Number.MAX_SAFE_INTEGER

export function benchCommand(context: CommandContext): Command {
  const bench = new Command('bench').description('measure throughput and latency')
  bench.addCommand(produce(context))
  bench.addCommand(consume(context))
  bench.addCommand(latency(context))
  return bench
}

/** What differs between the benchmarks are the defaults. */
interface Defaults {
  readonly lanes: 'producers' | 'consumers'
  readonly batch: number
  readonly inFlight: number
  readonly rate: number | null
}

function withLoad(command: Command, defaults: Defaults): Command {
  withConnection(command)
    .addOption(
      new Option(`--${defaults.lanes} <n>`, 'each with its own connection').argParser(whole(1, 256)).default(1),
    )
    .addOption(new Option('--size <bytes>', 'payload of a message').argParser(bytes(1, 32 * 1024 * 1024)).default(1024))
    .addOption(new Option('--batch <n>', 'messages in a request').argParser(whole(1, 100_000)).default(defaults.batch))
    .addOption(
      new Option('--in-flight <n>', 'requests of each connection on their way at once')
        .argParser(whole(1, 1024))
        .default(defaults.inFlight),
    )
    .addOption(
      withDefault(
        new Option('--rate <n>', 'messages per second over all; as fast as possible when absent').argParser(
          whole(1, 1e9),
        ),
        defaults.rate,
      ),
    )
    .addOption(
      new Option('--duration <time>', 'how long to send; 10s unless there is a --total').argParser(
        duration(10, 86_400_000),
      ),
    )
    .addOption(
      new Option('--total <n>', 'messages after which to end, before the time is up').argParser(whole(1, MANY)),
    )
    .addOption(
      new Option('--warmup <time>', 'not counted, at the beginning')
        .argParser(duration(0, 3_600_000))
        .default(1000, '1s'),
    )
    .addOption(
      new Option('--partitions <n>', 'of the topic; one for each connection when absent').argParser(whole(1, 1000)),
    )
    .addOption(new Option('--use <stream/topic>', 'an existing topic instead of one made for the run').argParser(place))
    .option('--keep', 'do not remove what was made for the run')
  return command
}

function withDefault(option: Option, value: number | null): Option {
  return value === null ? option : option.default(value)
}

function place(text: string): string {
  const [stream, topic, ...rest] = text.split('/')
  if (stream === undefined || stream === '' || topic === undefined || topic === '' || rest.length > 0) {
    throw new InvalidArgumentError('It must look like STREAM/TOPIC.')
  }
  return text
}

type Flags = ConnectionFlags & BenchFlags

function produce({ io, action }: CommandContext): Command {
  return withLoad(new Command('produce'), { lanes: 'producers', batch: 1000, inFlight: 8, rate: null })
    .description('append batches as fast as possible, or at a rate')
    .addHelpText('after', '\nExample:\n  galgo bench produce --producers 2 --size 1KiB --batch 1000 --duration 30s')
    .action(
      action(async (flags: Flags) => {
        const { benchProduce } = await import('../bench/benchmarks.ts')
        return await benchProduce('produce', flags, io)
      }),
    )
}

function consume({ io, action }: CommandContext): Command {
  return withLoad(new Command('consume'), { lanes: 'consumers', batch: 1000, inFlight: 4, rate: null })
    .description('read what was appended before, again and again')
    .addOption(
      new Option('--preload <size>', 'payload to append before the reading begins')
        .argParser(bytes(1, 2 ** 40))
        .default(256 * 1024 * 1024, '256MiB'),
    )
    .addHelpText('after', '\nExample:\n  galgo bench consume --consumers 2 --duration 30s')
    .action(
      action(async (flags: Flags) => {
        const { benchConsume } = await import('../bench/benchmarks.ts')
        return await benchConsume(flags, io)
      }),
    )
}

function latency({ io, action }: CommandContext): Command {
  return withLoad(new Command('latency'), { lanes: 'producers', batch: 1, inFlight: 16, rate: 500 })
    .description('append single messages at a rate; how long until each is acknowledged')
    .addHelpText('after', '\nExample:\n  galgo bench latency --rate 500 --size 1KiB')
    .action(
      action(async (flags: Flags) => {
        const { benchProduce } = await import('../bench/benchmarks.ts')
        return await benchProduce('latency', flags, io)
      }),
    )
}
