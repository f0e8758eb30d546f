// galgo partition: create, delete. galgo segment: delete.
import { Command } from 'commander'
import { type ConnectionFlags, identifier, withConnection } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { answer } from '../render/answer.ts'
import { withClient } from '../sdk.ts'
import { whole } from '../values.ts'
import { PARTITIONS_MAX, plural } from './topic.ts'

export function partitionCommand(context: CommandContext): Command {
  const partition = new Command('partition').description('add partitions to a topic, and remove its last ones')
  partition.addCommand(create(context))
  partition.addCommand(remove(context))
  return partition
}

export function segmentCommand(context: CommandContext): Command {
  const segment = new Command('segment').description('remove the oldest messages of a partition')
  segment.addCommand(removeSegments(context))
  return segment
}

function withTopic(command: Command): Command {
  return withConnection(command).argument('<stream>', 'name or id').argument('<topic>', 'name or id')
}

function create({ io, action }: CommandContext): Command {
  return withTopic(new Command('create'))
    .description('add partitions to a topic')
    .argument('<count>', 'how many', whole(1, PARTITIONS_MAX))
    .addHelpText('after', '\nExample:\n  galgo partition create shop orders 3')
    .action(
      action(async (stream: string, topic: string, count: number, flags: ConnectionFlags) => {
        await withClient(flags, io, (client) => client.createPartitions(identifier(stream), identifier(topic), count))
        return await answer(
          io,
          flags,
          { stream, topic, created: count },
          `${plural(count, 'partition')} added to ${topic} of ${stream}\n`,
        )
      }),
    )
}

function remove({ io, action }: CommandContext): Command {
  return withTopic(new Command('delete'))
    .description('remove the last partitions of a topic, with their messages')
    .argument('<count>', 'how many', whole(1, PARTITIONS_MAX))
    .addHelpText('after', '\nExample:\n  galgo partition delete shop orders 1')
    .action(
      action(async (stream: string, topic: string, count: number, flags: ConnectionFlags) => {
        await withClient(flags, io, (client) => client.deletePartitions(identifier(stream), identifier(topic), count))
        return await answer(
          io,
          flags,
          { stream, topic, deleted: count },
          `${plural(count, 'partition')} removed from the end of ${topic} of ${stream}\n`,
        )
      }),
    )
}

function removeSegments({ io, action }: CommandContext): Command {
  return withTopic(new Command('delete'))
    .description('remove the oldest segments of a partition, of those that have ended, with their messages')
    .argument('<partition>', 'counted from 0', whole(0, 999_999))
    .argument('<count>', 'how many at most', whole(1, 0xffff_ffff))
    .addHelpText(
      'after',
      '\nRead or not, their messages are gone; the one that is being written stays.\n\nExample:\n  galgo segment delete shop orders 0 2',
    )
    .action(
      action(async (stream: string, topic: string, partition: number, count: number, flags: ConnectionFlags) => {
        await withClient(flags, io, (client) =>
          client.deleteSegments(identifier(stream), identifier(topic), partition, count),
        )
        return await answer(
          io,
          flags,
          { stream, topic, partition, segments: count },
          `up to ${plural(count, 'segment')} removed from the front of partition ${partition} of ${stream}/${topic}\n`,
        )
      }),
    )
}
