// galgo stream: create, list, get, rename, purge, delete.
import { Command } from 'commander'
import { type ConnectionFlags, identifier, withConnection, withFreshness } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { fields, size, table, time } from '../render/table.ts'
import { withClient } from '../sdk.ts'
import { noStream, topicRows, topicTable } from './topic.ts'

export function streamCommand(context: CommandContext): Command {
  const stream = new Command('stream').description('create, list, look at, rename, empty and delete streams')
  stream.addCommand(create(context))
  stream.addCommand(list(context))
  stream.addCommand(get(context))
  stream.addCommand(rename(context))
  stream.addCommand(purge(context))
  stream.addCommand(remove(context))
  return stream
}

function create({ io, action }: CommandContext): Command {
  return withConnection(new Command('create'))
    .description('create a stream')
    .argument('<stream>', 'its name, 1 to 255 bytes')
    .addHelpText('after', '\nExample:\n  galgo stream create shop')
    .action(
      action(async (name: string, flags: ConnectionFlags) => {
        const stream = await withClient(flags, io, (client) => client.createStream(name))
        const row = streamRow(stream)
        await io.out(
          flags.format === 'json' ? `${JSON.stringify(row)}\n` : `stream ${row.name} created, id ${row.id}\n`,
        )
        return undefined
      }),
    )
}

function list({ io, action }: CommandContext): Command {
  return withFreshness(withConnection(new Command('list')))
    .description('list all streams')
    .addHelpText('after', '\nExample:\n  galgo stream list --format json')
    .action(
      action(async (flags: ConnectionFlags) => {
        const streams = await withClient(flags, io, (client) => client.listStreams())
        const rows = streams.map(streamRow)
        if (flags.format === 'json') await io.out(`${JSON.stringify(rows)}\n`)
        else if (rows.length === 0) io.err('no streams yet; create one with: galgo stream create NAME\n')
        else
          await io.out(
            table(rows, [
              { title: 'id', value: (row) => row.id, align: 'right' },
              { title: 'name', value: (row) => row.name },
              { title: 'topics', value: (row) => row.topics, align: 'right' },
              { title: 'messages', value: (row) => row.messages, align: 'right' },
              { title: 'size', value: (row) => size(row.size), align: 'right' },
              { title: 'created', value: (row) => row.created },
            ]),
          )
        return undefined
      }),
    )
}

function get({ io, action }: CommandContext): Command {
  return withFreshness(withConnection(new Command('get')))
    .description('show a stream and its topics')
    .argument('<stream>', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo stream get shop')
    .action(
      action(async (name: string, flags: ConnectionFlags) => {
        const found = await withClient(flags, io, (client) => client.getStream(identifier(name)))
        if (found === null) throw noStream(name)
        const row = streamRow(found.stream)
        const topics = topicRows(found.topics)
        if (flags.format === 'json') {
          await io.out(`${JSON.stringify({ ...row, topics })}\n`)
          return undefined
        }
        await io.out(
          fields([
            ['stream', `${row.name} (id ${row.id})`],
            ['created', row.created],
            ['messages', row.messages],
            ['size', size(row.size)],
            ['topics', topics.length],
          ]),
        )
        if (topics.length > 0) await io.out(`\n${topicTable(topics)}`)
        return undefined
      }),
    )
}

function rename({ io, action }: CommandContext): Command {
  return withConnection(new Command('rename'))
    .description('give a stream another name')
    .argument('<stream>', 'name or id')
    .argument('<name>', 'its new name, 1 to 255 bytes')
    .addHelpText('after', '\nExample:\n  galgo stream rename shop store')
    .action(
      action(async (stream: string, name: string, flags: ConnectionFlags) => {
        await withClient(flags, io, (client) => client.updateStream(identifier(stream), name))
        await io.out(
          flags.format === 'json' ? `${JSON.stringify({ renamed: name })}\n` : `stream ${stream} is ${name}\n`,
        )
        return undefined
      }),
    )
}

function purge({ io, action }: CommandContext): Command {
  return withConnection(new Command('purge'))
    .description('remove all messages and stored offsets of a stream; its topics stay, offsets begin at 0 again')
    .argument('<stream>', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo stream purge shop')
    .action(
      action(async (name: string, flags: ConnectionFlags) => {
        await withClient(flags, io, (client) => client.purgeStream(identifier(name)))
        await io.out(flags.format === 'json' ? `${JSON.stringify({ purged: name })}\n` : `stream ${name} is empty\n`)
        return undefined
      }),
    )
}

function remove({ io, action }: CommandContext): Command {
  return withConnection(new Command('delete'))
    .description('delete a stream with all its topics and messages')
    .argument('<stream>', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo stream delete shop')
    .action(
      action(async (name: string, flags: ConnectionFlags) => {
        await withClient(flags, io, (client) => client.deleteStream(identifier(name)))
        await io.out(flags.format === 'json' ? `${JSON.stringify({ deleted: name })}\n` : `stream ${name} deleted\n`)
        return undefined
      }),
    )
}

interface StreamLike {
  readonly id: number
  readonly name: string
  readonly createdAt: number
  readonly topicsCount: number
  readonly messagesCount: number
  readonly size: number
}

function streamRow(stream: StreamLike) {
  return {
    id: stream.id,
    name: stream.name,
    topics: stream.topicsCount,
    messages: stream.messagesCount,
    size: stream.size,
    created: time(stream.createdAt),
  }
}
