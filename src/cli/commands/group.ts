// galgo group: create, list, describe, seek, delete.
import { Command, InvalidArgumentError, Option } from 'commander'
import type { GroupLag, Seek, SeekTarget } from '../../index.ts'
import { CliError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { type ConnectionFlags, identifier, withConnection, withFreshness } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { fields, table } from '../render/table.ts'
import { withClient } from '../sdk.ts'
import { from, whole } from '../values.ts'
import { noTopic } from './topic.ts'

interface SeekFlags extends ConnectionFlags {
  readonly to: SeekTarget
  readonly partition?: number
  readonly dryRun?: boolean
}

export function groupCommand(context: CommandContext): Command {
  const group = new Command('group').description('consumer groups: how far they are, and moving them')
  group.addCommand(create(context))
  group.addCommand(list(context))
  group.addCommand(describe(context))
  group.addCommand(seek(context))
  group.addCommand(remove(context))
  return group
}

function withTopic(command: Command): Command {
  return withConnection(command).argument('<stream>', 'name or id').argument('<topic>', 'name or id')
}

function create({ io, action }: CommandContext): Command {
  return withTopic(new Command('create'))
    .description('create a group; one that consumes for the first time is created by itself')
    .argument('<group>', 'its name, 1 to 255 bytes')
    .addHelpText('after', '\nExample:\n  galgo group create shop orders billing')
    .action(
      action(async (stream: string, topic: string, name: string, flags: ConnectionFlags) => {
        const { id } = await withClient(flags, io, (client) =>
          client.createGroup(identifier(stream), identifier(topic), name),
        )
        await io.out(
          flags.format === 'json'
            ? `${JSON.stringify({ id, name })}\n`
            : `group ${name} created in ${stream}/${topic}, id ${id}\n`,
        )
        return undefined
      }),
    )
}

function list({ io, action }: CommandContext): Command {
  return withFreshness(withTopic(new Command('list')))
    .description('list the groups of a topic')
    .addHelpText('after', '\nExample:\n  galgo group list shop orders')
    .action(
      action(async (stream: string, topic: string, flags: ConnectionFlags) => {
        const groups = await withClient(flags, io, async (client) => {
          const place = [identifier(stream), identifier(topic)] as const
          const listed = await client.listGroups(...place)
          if (listed.length === 0 && (await client.getTopic(...place)) === null) throw noTopic(stream, topic)
          return listed
        })
        const rows = groups.map(({ id, name, membersCount }) => ({ id, name, members: membersCount }))
        if (flags.format === 'json') await io.out(`${JSON.stringify(rows)}\n`)
        else if (rows.length === 0) io.err(`no groups in ${stream}/${topic}\n`)
        else
          await io.out(
            table(rows, [
              { title: 'id', value: (row) => row.id, align: 'right' },
              { title: 'name', value: (row) => row.name },
              { title: 'members', value: (row) => row.members, align: 'right' },
            ]),
          )
        return undefined
      }),
    )
}

function describe({ io, action }: CommandContext): Command {
  return withFreshness(withTopic(new Command('describe')))
    .description('show who reads which partition, and how many messages the group is behind')
    .argument('<group>', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo group describe shop orders billing')
    .action(
      action(async (stream: string, topic: string, name: string, flags: ConnectionFlags) => {
        const found = await withClient(flags, io, async (client) => {
          const place = [identifier(stream), identifier(topic), identifier(name)] as const
          return (await client.getGroup(...place)) === null ? null : await client.groupLag(...place)
        })
        if (found === null) throw noGroup(stream, topic, name)
        await io.out(flags.format === 'json' ? `${JSON.stringify(lagRow(found))}\n` : lagText(found, stream, topic))
        return undefined
      }),
    )
}

function lagRow({ group: { id, name, members }, partitions, lag }: GroupLag) {
  return { id, name, members, partitions, lag }
}

function lagText({ group, partitions, lag }: GroupLag, stream: string, topic: string): string {
  const head = fields([
    ['group', `${group.name} (id ${group.id}) of ${stream}/${topic}`],
    ['members', group.members.length],
    ['lag', lag],
  ])
  const rows = table(partitions, [
    { title: 'partition', value: (row) => row.partition, align: 'right' },
    { title: 'member', value: (row) => row.member ?? '-', align: 'right' },
    { title: 'stored offset', value: (row) => row.storedOffset ?? '-', align: 'right' },
    { title: 'end', value: (row) => row.endOffset, align: 'right' },
    { title: 'lag', value: (row) => row.lag, align: 'right' },
  ])
  return `${head}\n${rows}`
}

function seek({ io, action }: CommandContext): Command {
  return withTopic(new Command('seek'))
    .description('move a group without members to another place')
    .argument('<group>', 'name or id')
    .addOption(
      new Option('--to <place>', 'first, last (the end), offset:N or time:ISO').argParser(place).makeOptionMandatory(),
    )
    .addOption(new Option('--partition <n>', 'only this partition').argParser(whole(0, 999_999)))
    .addOption(new Option('--dry-run', 'show what would change, and change nothing'))
    .addHelpText(
      'after',
      `
Examples:
  galgo group seek shop orders billing --to first --dry-run
  galgo group seek shop orders billing --to time:2026-01-31T12:00:00Z`,
    )
    .action(
      action(async (stream: string, topic: string, name: string, flags: SeekFlags) => {
        const { to, partition, dryRun = false } = flags
        const seeks = await withClient(flags, io, async (client) => {
          const at = [identifier(stream), identifier(topic), identifier(name)] as const
          const group = await client.getGroup(...at)
          if (group === null) throw noGroup(stream, topic, name)
          if (group.members.length > 0)
            throw new CliError(
              'group-has-members',
              `group ${name} has members, which would read on where they are; stop them first`,
            )
          return await client.seekGroup(...at, { to, dryRun, ...(partition === undefined ? {} : { partition }) })
        })
        await io.out(flags.format === 'json' ? `${JSON.stringify({ dryRun, seeks })}\n` : seekText(seeks, dryRun))
        return undefined
      }),
    )
}

function seekText(seeks: readonly Seek[], dryRun: boolean): string {
  const rows = table(seeks, [
    { title: 'partition', value: (row) => row.partition, align: 'right' },
    { title: dryRun ? 'next message' : 'next message was', value: (row) => row.from, align: 'right' },
    { title: dryRun ? 'would be' : 'is', value: (row) => row.to, align: 'right' },
  ])
  return dryRun ? `${rows}nothing was changed\n` : rows
}

function place(text: string): SeekTarget {
  const target = from(text)
  if (target === 'next') throw new InvalidArgumentError('It must be first, last, offset:N or time:ISO.')
  return target
}

function remove({ io, action }: CommandContext): Command {
  return withTopic(new Command('delete'))
    .description('delete a group with its stored offsets')
    .argument('<group>', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo group delete shop orders billing')
    .action(
      action(async (stream: string, topic: string, name: string, flags: ConnectionFlags) => {
        await withClient(flags, io, (client) =>
          client.deleteGroup(identifier(stream), identifier(topic), identifier(name)),
        )
        await io.out(
          flags.format === 'json'
            ? `${JSON.stringify({ deleted: name })}\n`
            : `group ${name} of ${stream}/${topic} deleted\n`,
        )
        return undefined
      }),
    )
}

function noGroup(stream: string, topic: string, name: string): CliError {
  return new CliError(
    'group-not-found',
    `there is no group ${name} in ${stream}/${topic}; see them with: galgo group list ${stream} ${topic}`,
    ExitCode.notFound,
  )
}
