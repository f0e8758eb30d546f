// galgo offset: what a named consumer has stored.
import { Command, Option } from 'commander'
import { CliError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { type ConnectionFlags, identifier, withConnection, withFreshness } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { answer } from '../render/answer.ts'
import { fields } from '../render/table.ts'
import { withClient } from '../sdk.ts'
import { whole } from '../values.ts'

interface OffsetFlags extends ConnectionFlags {
  readonly partition: number
  readonly consumer: string
}

export function offsetCommand(context: CommandContext): Command {
  const offset = new Command('offset').description('read, set and delete the stored offsets of consumers')
  offset.addCommand(get(context))
  offset.addCommand(set(context))
  offset.addCommand(remove(context))
  return offset
}

function withPlace(command: Command): Command {
  return withConnection(command)
    .argument('<stream>', 'name or id')
    .argument('<topic>', 'name or id')
    .requiredOption('--consumer <name>', 'name or id of the consumer')
    .addOption(new Option('--partition <n>', 'of this partition').argParser(whole(0, 999_999)).default(0))
}

function get({ io, action }: CommandContext): Command {
  return withFreshness(withPlace(new Command('get')))
    .description('show the stored offset')
    .addHelpText('after', '\nExample:\n  galgo offset get shop orders --consumer billing')
    .action(
      action(async (stream: string, topic: string, flags: OffsetFlags) => {
        const stored = await withClient(flags, io, (client) => client.getOffset(place(stream, topic, flags)))
        if (stored === null) {
          throw new CliError(
            'offset-not-found',
            `consumer ${flags.consumer} has no stored offset in partition ${flags.partition} of ${stream}/${topic}`,
            ExitCode.notFound,
          )
        }
        const row = {
          consumer: flags.consumer,
          partition: stored.partition,
          stored: stored.storedOffset,
          last: stored.currentOffset,
          lag: Math.max(0, stored.currentOffset - stored.storedOffset),
        }
        await io.out(
          flags.format === 'json'
            ? `${JSON.stringify(row)}\n`
            : fields([
                ['consumer', row.consumer],
                ['partition', row.partition],
                ['stored offset', row.stored],
                ['last offset', row.last],
                ['lag', row.lag],
              ]),
        )
        return undefined
      }),
    )
}

function set({ io, action }: CommandContext): Command {
  return withPlace(new Command('set'))
    .description('store an offset: the next message is the one after it')
    .argument('<offset>', 'of the last message that was handled', whole(0, Number.MAX_SAFE_INTEGER))
    .addHelpText('after', '\nExample:\n  galgo offset set shop orders 41 --consumer billing')
    .action(
      action(async (stream: string, topic: string, offset: number, flags: OffsetFlags) => {
        await withClient(flags, io, (client) => client.storeOffset(place(stream, topic, flags), offset))
        const row = { consumer: flags.consumer, partition: flags.partition, stored: offset }
        await io.out(
          flags.format === 'json'
            ? `${JSON.stringify(row)}\n`
            : `stored offset ${offset} for ${row.consumer} in partition ${row.partition} of ${stream}/${topic}\n`,
        )
        return undefined
      }),
    )
}

function remove({ io, action }: CommandContext): Command {
  return withPlace(new Command('delete'))
    .description('forget the stored offset: the consumer begins anew')
    .addHelpText('after', '\nExample:\n  galgo offset delete shop orders --consumer billing')
    .action(
      action(async (stream: string, topic: string, flags: OffsetFlags) => {
        await withClient(flags, io, (client) => client.deleteOffset(place(stream, topic, flags)))
        const row = { consumer: flags.consumer, partition: flags.partition, deleted: true }
        const text = `${row.consumer} has no stored offset in partition ${row.partition} of ${stream}/${topic} any more\n`
        return await answer(io, flags, row, text)
      }),
    )
}

function place(stream: string, topic: string, flags: OffsetFlags) {
  return {
    stream: identifier(stream),
    topic: identifier(topic),
    partition: flags.partition,
    consumer: identifier(flags.consumer),
  }
}
