// galgo status: every node as it sees itself, and whether the cluster takes requests.
import { Command, Option } from 'commander'
import type { NodeStatus } from '../../server/status.ts'
import { CliError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { type ConnectionFlags, connectionOf, withConnection } from '../flags.ts'
import type { CliIo } from '../io.ts'
import { fetchStatus, httpOfNodes, httpOfServers, type NodeAnswer } from '../node-status.ts'
import type { CommandContext } from '../program.ts'
import { table } from '../render/table.ts'
import { withClient } from '../sdk.ts'
import { addressList } from '../values.ts'

/** A login needs a primary; this is how long it is waited for before the nodes are asked one by one. */
const METADATA_TIMEOUT_MS = 2000

interface StatusFlags extends ConnectionFlags {
  readonly http?: string[]
}

export function statusCommand({ io, action }: CommandContext): Command {
  return withConnection(new Command('status'))
    .description('show the nodes, the primary, and how far each one is')
    .addOption(
      new Option('--http <list>', 'HTTP addresses of the nodes; asked of the cluster when absent').argParser(
        addressList,
      ),
    )
    .addHelpText(
      'after',
      `
Ends with 0 when a primary takes requests, with 7 when nodes answer but none does, with 4 when no node answers.

Example:
  galgo status --format json`,
    )
    .action(
      action(async (flags: StatusFlags) => {
        const addresses = flags.http ?? (await discover(flags, io))
        const answers = await Promise.all(addresses.map((http) => fetchStatus(http, io.stop)))
        const summary = summarize(answers)
        if (summary.reachable === 0) {
          throw new CliError(
            'cannot-connect',
            `no node answers on ${addresses.join(', ') || 'any HTTP address'}; start one with \`galgo cluster\`, or name the HTTP addresses with --http`,
            ExitCode.cannotConnect,
          )
        }
        await io.out(
          flags.format === 'json' ? `${JSON.stringify({ ...summary, nodes: answers })}\n` : render(answers, summary),
        )
        return summary.primary === null ? ExitCode.unavailable : ExitCode.ok
      }),
    )
}

/** All nodes as cluster metadata names them; without a primary nobody can log in, and the usual layout is tried. */
async function discover(flags: StatusFlags, io: CliIo): Promise<string[]> {
  try {
    const timeout = Math.min(flags.timeout, METADATA_TIMEOUT_MS)
    const { nodes } = await withClient({ ...flags, timeout }, io, (client) => client.cluster())
    return httpOfNodes(nodes)
  } catch {
    return httpOfServers(connectionOf(flags, io).servers)
  }
}

export interface Summary {
  readonly reachable: number
  readonly total: number
  /** Index of the primary that a majority follows, null while there is none. */
  readonly primary: number | null
  readonly view: number
}

/** A primary counts when it says so itself, in the newest view, and with itself a majority of the replicas is in order. */
export function summarize(answers: readonly NodeAnswer[]): Summary {
  const states = answers.flatMap((answer) => (answer.status === null ? [] : [answer.status]))
  const view = Math.max(0, ...states.map((state) => state.view))
  const replicas = Math.max(answers.length, ...states.map((state) => state.replicas))
  const primary = states.find((state) => state.isPrimary && state.view === view)
  const following = states.filter((state) => state.view === view && state.status === 'normal').length
  const connected = primary === undefined ? 0 : 1 + primary.peers.filter((peer) => peer.connected).length
  const works = primary !== undefined && Math.max(following, connected) > replicas / 2
  return { reachable: states.length, total: replicas, primary: works ? primary.replica : null, view }
}

function render(answers: readonly NodeAnswer[], summary: Summary): string {
  const rows = answers.map(({ http, status, reason }) =>
    status === null
      ? {
          node: '-',
          role: reason ?? 'no answer',
          client: '-',
          http,
          view: '-',
          op: '-',
          commit: '-',
          checkpoint: '-',
          pid: '-',
        }
      : {
          node: status.replica,
          role: roleOf(status),
          client: status.addresses.client ?? status.addresses.tls ?? status.addresses.websocket ?? '-',
          http,
          view: status.view,
          op: status.op,
          commit: status.commit,
          checkpoint: status.checkpoint,
          pid: status.pid,
        },
  )
  const known = answers.find((answer) => answer.status !== null)?.status
  const head =
    summary.primary === null
      ? `no primary: the cluster takes no requests (${summary.reachable} of ${summary.total} nodes answer; a majority must run and see each other)`
      : `primary ${summary.primary}, view ${summary.view}, ${summary.reachable} of ${summary.total} nodes answer`
  const tail =
    known === undefined || known === null
      ? ''
      : `\ncluster ${known.cluster}, galgo ${known.version}, durability ${known.durability}${losses(answers)}, driver ${known.driver.kind}${known.driver.reason === '' ? '' : ` (${known.driver.reason})`}\n`
  return `${head}\n\n${table(rows, [
    { title: 'node', value: (row) => row.node, align: 'right' },
    { title: 'state', value: (row) => row.role },
    { title: 'client', value: (row) => row.client },
    { title: 'http', value: (row) => row.http },
    { title: 'view', value: (row) => row.view, align: 'right' },
    { title: 'op', value: (row) => row.op, align: 'right' },
    { title: 'commit', value: (row) => row.commit, align: 'right' },
    { title: 'checkpoint', value: (row) => row.checkpoint, align: 'right' },
    { title: 'pid', value: (row) => row.pid, align: 'right' },
  ])}${tail}`
}

/** With durability memory, how often something may have been lost. */
function losses(answers: readonly NodeAnswer[]): string {
  const epoch = Math.max(0, ...answers.map(({ status }) => status?.lossEpoch ?? 0))
  return epoch === 0
    ? ''
    : ` (power cuts may have cost acknowledged messages ${epoch} ${epoch === 1 ? 'time' : 'times'})`
}

function roleOf({ isPrimary, status, transfer, replacement, lossy }: NodeStatus): string {
  if (isPrimary) return 'primary'
  if (transfer !== null) return 'catching up'
  if (replacement) return 'joining'
  if (lossy) return 'may have lost data'
  return status === 'normal' ? 'backup' : status
}
