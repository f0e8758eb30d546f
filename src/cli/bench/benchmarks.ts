// The benchmarks: what is set up, what a lane sends, what is reported.
import { randomFillSync } from 'node:crypto'
import type { BatchTarget, Client } from '../../index.ts'
import { makeChecksummer } from '../../server/checksummer.ts'
import { CliError, usage } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { type Connection, type ConnectionFlags, connectionOf } from '../flags.ts'
import type { CliIo } from '../io.ts'
import { count, size } from '../render/table.ts'
import { openClient } from '../sdk.ts'
import { describeEndpoint } from './endpoint.ts'
import type { Lane, LoadPlan } from './load.ts'
import { makeReport, type Report, renderReport } from './report.ts'
import { type Outcome, runLoad } from './run.ts'
import { openWorkspace, type Workspace } from './workspace.ts'

export interface BenchFlags {
  readonly producers?: number
  readonly consumers?: number
  readonly size: number
  readonly batch: number
  readonly inFlight: number
  readonly rate?: number
  readonly duration?: number
  readonly total?: number
  readonly warmup: number
  readonly partitions?: number
  readonly preload?: number
  readonly use?: string
  readonly keep?: boolean
}

type Flags = ConnectionFlags & BenchFlags

const DURATION_MS = 10_000

export async function benchProduce(kind: 'produce' | 'latency', flags: Flags, io: CliIo): Promise<number> {
  const lanes = flags.producers ?? 1
  return await withBench(flags, lanes, io, async ({ clients, workspace }) => {
    const payload = payloadOf(flags.size)
    const outcome = await runLoad(
      io,
      planOf(
        flags,
        clients.map((client, i) => produceLane(client, target(workspace, i), payload, flags.batch)),
      ),
      flags.size,
    )
    return { kind, outcome, lanes }
  })
}

export async function benchConsume(flags: Flags, io: CliIo): Promise<number> {
  const lanes = flags.consumers ?? 1
  return await withBench(flags, lanes, io, async ({ clients, workspace }) => {
    const first = clients[0] as Client
    if (workspace.fresh) await preload(first, workspace, flags, io)
    const ends = await endsOf(first, workspace)
    const consumeLanes = clients.map((client, i) => consumeLane(client, workspace, i, ends, flags.batch))
    const outcome = await runLoad(io, planOf(flags, consumeLanes), flags.size)
    return { kind: 'consume', outcome, lanes }
  })
}

interface Bench {
  /** One for each lane. */
  readonly clients: readonly Client[]
  readonly workspace: Workspace
}

interface Ran {
  readonly kind: Report['benchmark']
  readonly outcome: Outcome
  readonly lanes: number
}

/** Connects, makes the workspace, runs, reports, and removes what it made, also after a failure or Ctrl-C. */
async function withBench(flags: Flags, lanes: number, io: CliIo, run: (bench: Bench) => Promise<Ran>): Promise<number> {
  const connection = connectionOf(flags, io)
  const admin = await openClient(connection, io.stop)
  try {
    const endpoint = await describeEndpoint(admin, io.stop)
    const workspace = await openWorkspace(admin, { ...flags, partitions: flags.partitions ?? lanes })
    const clients: Client[] = []
    try {
      for (let i = 0; i < lanes; i++) clients.push(await openClient(connection, io.stop, makeChecksummer()))
      const { kind, outcome } = await run({ clients, workspace })
      const settings = settingsOf(kind, flags, lanes, workspace, connection)
      const report = makeReport(
        kind,
        endpoint,
        settings,
        outcome.result,
        outcome.latency,
        flags.size,
        flags.rate ?? null,
        outcome.interrupted,
      )
      await io.out(flags.format === 'json' ? `${JSON.stringify(report)}\n` : renderReport(report))
      return outcome.interrupted ? ExitCode.interrupted : ExitCode.ok
    } finally {
      await Promise.allSettled(clients.map((client) => client.close()))
      await workspace.remove()
    }
  } finally {
    await admin.close()
  }
}

function planOf(flags: Flags, lanes: readonly Lane[]): LoadPlan {
  const duration = flags.duration ?? (flags.total === undefined ? DURATION_MS : Number.POSITIVE_INFINITY)
  return {
    lanes,
    inFlight: flags.inFlight,
    rate: flags.rate === undefined ? null : flags.rate / flags.batch,
    requests: flags.total === undefined ? Number.POSITIVE_INFINITY : Math.ceil(flags.total / flags.batch),
    durationMs: duration + flags.warmup,
    // A total is a total: all of it is counted.
    warmupMs: flags.total === undefined ? flags.warmup : 0,
  }
}

function settingsOf(
  kind: Report['benchmark'],
  flags: Flags,
  lanes: number,
  workspace: Workspace,
  connection: Connection,
): Report['settings'] {
  return {
    [kind === 'consume' ? 'consumers' : 'producers']: lanes,
    partitions: workspace.partitions.length,
    size: flags.size,
    batch: flags.batch,
    'in-flight': flags.inFlight,
    rate: flags.rate ?? null,
    warmup: `${flags.warmup / 1000}s`,
    topic: workspace.name,
    user: 'token' in connection.credentials ? 'a token' : connection.credentials.username,
  }
}

/** Random bytes: nothing on the way may win by compressing them. */
function payloadOf(length: number): Uint8Array {
  return randomFillSync(new Uint8Array(length))
}

function target(workspace: Workspace, lane: number): BatchTarget {
  const partition = workspace.partitions[lane % workspace.partitions.length]
  if (partition === undefined) throw usage(`topic ${workspace.name} has no partitions`)
  return { stream: workspace.stream, topic: workspace.topic, partition }
}

/** The messages of a lane are the same bytes each time; ids, timestamps and checksums are made anew for every batch. */
function produceLane(client: Client, to: BatchTarget, payload: Uint8Array, batch: number): Lane {
  const messages = Array.from({ length: batch }, () => ({ payload }))
  return {
    send: async () => {
      await client.sendBatch(to, messages)
      return batch
    },
  }
}

async function preload(client: Client, workspace: Workspace, flags: Flags, io: CliIo): Promise<void> {
  const wanted = flags.preload ?? 0
  const requests = Math.max(workspace.partitions.length, Math.ceil(wanted / (flags.size * flags.batch)))
  io.err(`appending ${size(wanted)} to read …\n`)
  const payload = payloadOf(flags.size)
  let sent = 0
  const one = async (): Promise<void> => {
    const lane = workspace.partitions.map((_, i) => produceLane(client, target(workspace, i), payload, flags.batch))
    while (sent < requests && !io.stop.aborted) await (lane[sent++ % lane.length] as Lane).send()
  }
  await Promise.all(Array.from({ length: 8 }, one))
}

/** Messages of every partition when the reading begins. */
async function endsOf(client: Client, workspace: Workspace): Promise<Map<number, number>> {
  const found = await client.getTopic(workspace.stream, workspace.topic)
  const ends = new Map<number, number>()
  for (const { id, messagesCount, currentOffset } of found?.partitions ?? []) {
    if (messagesCount > 0) ends.set(id, currentOffset + 1)
  }
  if (ends.size === 0)
    throw new CliError(
      'nothing-to-read',
      `topic ${workspace.name} holds no messages; append some first, or leave out --use`,
    )
  return ends
}

/**
 * Reads a partition from its first offset to the end that it had at the start, then again. Several polls are on their way:
 * each claims the next range of offsets, and goes on within it when a reply was cut short by its size.
 */
function consumeLane(
  client: Client,
  workspace: Workspace,
  lane: number,
  ends: ReadonlyMap<number, number>,
  batch: number,
): Lane {
  const partitions = [...ends.keys()]
  const partition = partitions[lane % partitions.length] as number
  const end = ends.get(partition) as number
  const to = { stream: workspace.stream, topic: workspace.topic, partition, consumer: `bench-${lane}` }
  let next = 0
  return {
    send: async () => {
      const from = next
      const until = Math.min(end, from + batch)
      next = until === end ? 0 : until
      let offset = from
      while (offset < until) {
        const read = await client.pollCount(to, offset, until - offset)
        if (read === 0) {
          throw new CliError(
            'offset-missing',
            `partition ${partition} of ${workspace.name} answered nothing at offset ${count(offset)} of ${count(end)}`,
          )
        }
        offset += read
      }
      return until - from
    },
  }
}
