// What a node tells about itself and the cluster, over the clients' protocol: galgo nodes, ping, stats, me, options.
import { Command, Option } from 'commander'
import type { Client } from '../../index.ts'
import { decodeHeaderValue } from '../../protocol/user-headers.ts'
import { type ConnectionFlags, withAnyNode, withConnection } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { answer } from '../render/answer.ts'
import { count, fields, size, table, time } from '../render/table.ts'
import { withClient } from '../sdk.ts'
import { whole } from '../values.ts'

export function nodesCommand({ io, action }: CommandContext): Command {
  return withAnyNode(withConnection(new Command('nodes')))
    .description('list the nodes of the cluster and where clients reach them, as one of them knows')
    .addHelpText('after', '\nExample:\n  galgo nodes')
    .action(
      action(async (flags: ConnectionFlags) => {
        const { name, nodes } = await withClient(flags, io, (client) => client.cluster())
        const rows = nodes.map(({ name: node, address, tcpPort, websocketPort, httpPort, role, status }) => {
          return { node, address, tcp: tcpPort, websocket: websocketPort, http: httpPort, role, status }
        })
        const port = (value: number): string | number => (value === 0 ? '-' : value)
        return await answer(
          io,
          flags,
          { cluster: name, nodes: rows },
          table(rows, [
            { title: 'node', value: (row) => row.node },
            { title: 'role', value: (row) => row.role },
            { title: 'status', value: (row) => row.status },
            { title: 'address', value: (row) => row.address },
            { title: 'tcp', value: (row) => port(row.tcp), align: 'right' },
            { title: 'websocket', value: (row) => port(row.websocket), align: 'right' },
            { title: 'http', value: (row) => port(row.http), align: 'right' },
          ]),
        )
      }),
    )
}

export function pingCommand({ io, action }: CommandContext): Command {
  return withAnyNode(withConnection(new Command('ping')))
    .description('measure how long a node takes to answer')
    .addOption(new Option('--count <n>', 'how often').argParser(whole(1, 10_000)).default(5))
    .addHelpText('after', '\nExample:\n  galgo ping --count 100')
    .action(
      action(async (flags: ConnectionFlags & { readonly count: number }) => {
        const row = await withClient(flags, io, (client) => measure(client, flags.count, io.stop))
        const ms = (value: number): string => `${value.toFixed(3)} ms`
        return await answer(
          io,
          flags,
          row,
          `${row.node} answered ${plural(row.pings)}: fastest ${ms(row.minMs)}, mean ${ms(row.meanMs)}, slowest ${ms(row.maxMs)}\n`,
        )
      }),
    )
}

const plural = (pings: number): string => (pings === 1 ? '1 ping' : `${count(pings)} pings`)

async function measure(client: Client, pings: number, stop: AbortSignal) {
  const times: number[] = []
  for (let i = 0; i < pings; i++) {
    stop.throwIfAborted()
    const from = performance.now()
    await client.ping()
    times.push(performance.now() - from)
  }
  const meanMs = times.reduce((sum, each) => sum + each, 0) / pings
  return { node: client.server, pings, minMs: Math.min(...times), meanMs, maxMs: Math.max(...times) }
}

export function statsCommand({ io, action }: CommandContext): Command {
  return withAnyNode(withConnection(new Command('stats')))
    .description('show what a node holds and uses')
    .addHelpText('after', '\nExample:\n  galgo stats --format json')
    .action(
      action(async (flags: ConnectionFlags) => {
        const stats = await withClient(flags, io, async (client) => ({
          node: client.server,
          ...(await client.stats()),
        }))
        return await answer(
          io,
          flags,
          stats,
          fields([
            ['node', `${stats.node}, galgo ${stats.serverVersion}, process ${stats.processId}`],
            ['host', `${stats.hostname}, ${stats.osName} ${stats.kernelVersion}`],
            ['running since', time(stats.startTime)],
            ['streams', stats.streams],
            ['topics', stats.topics],
            ['partitions', stats.partitions],
            ['segments', stats.segments],
            ['messages', `${count(stats.messages)}, ${size(stats.messagesSize)}`],
            ['clients', stats.clients],
            ['groups', stats.consumerGroups],
            [
              'CPU',
              `${stats.cpuUsage.toFixed(1)} % of the process, ${stats.totalCpuUsage.toFixed(1)} % of the machine`,
            ],
            ['memory', `${size(stats.memoryUsage)} of ${size(stats.totalMemory)}, ${size(stats.availableMemory)} free`],
            ['disk', `${size(stats.freeDiskSpace)} free of ${size(stats.totalDiskSpace)}`],
          ]),
        )
      }),
    )
}

export function meCommand({ io, action }: CommandContext): Command {
  return withAnyNode(withConnection(new Command('me')))
    .description('show how the cluster sees this client: user, address, transport')
    .addHelpText('after', '\nExample:\n  galgo me')
    .action(
      action(async (flags: ConnectionFlags) => {
        const row = await withClient(flags, io, async (client) => {
          const { clientId, userId, transport, address } = await client.me()
          const found = userId === null ? null : await client.getUser(userId)
          return { node: client.server, client: clientId, user: userId, name: found?.user.name, transport, address }
        })
        return await answer(
          io,
          flags,
          row,
          fields([
            ['node', row.node],
            ['client', row.client],
            ['user', `${row.name ?? '-'} (id ${row.user ?? '-'})`],
            ['transport', row.transport],
            ['address', row.address],
          ]),
        )
      }),
    )
}

export function optionsCommand({ io, action }: CommandContext): Command {
  return withConnection(new Command('options'))
    .description('list the options that a topic can have, and their defaults')
    .addHelpText('after', '\nExample:\n  galgo options')
    .action(
      action(async (flags: ConnectionFlags) => {
        const options = await withClient(flags, io, (client) => client.describeTopicOptions())
        const rows = options.map(({ key, kind, standard, description }) => {
          const value = decodeHeaderValue(kind, standard)
          // All ones: what has no limit.
          const unlimited = value === 0xffff_ffff_ffff_ffffn
          const plain = typeof value === 'bigint' ? Number(value) : value instanceof Uint8Array ? null : value
          return { option: key, default: unlimited ? null : plain, description }
        })
        return await answer(
          io,
          flags,
          rows,
          table(rows, [
            { title: 'option', value: (row) => row.option },
            { title: 'default', value: (row) => String(row.default ?? 'unlimited') },
            { title: 'description', value: (row) => row.description },
          ]),
        )
      }),
    )
}
