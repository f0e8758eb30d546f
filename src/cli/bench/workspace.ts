// The stream and topic that a benchmark uses: made for it and removed after it, unless the user names one or keeps it.
import { randomBytes } from 'node:crypto'
import type { Client } from '../../index.ts'
import { CliError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { identifier } from '../flags.ts'

export interface Workspace {
  readonly stream: string | number
  readonly topic: string | number
  /** As people write it. */
  readonly name: string
  readonly partitions: readonly number[]
  /** Made for this run: it holds nothing yet. */
  readonly fresh: boolean
  remove(): Promise<void>
}

export interface WorkspaceFlags {
  /** `STREAM/TOPIC` of an existing topic. */
  readonly use?: string
  readonly keep?: boolean
  readonly partitions: number
}

export async function openWorkspace(client: Client, flags: WorkspaceFlags): Promise<Workspace> {
  return flags.use === undefined ? await make(client, flags) : await use(client, flags.use)
}

async function make(client: Client, flags: WorkspaceFlags): Promise<Workspace> {
  const stream = `bench-${randomBytes(4).toString('hex')}`
  await client.createStream(stream)
  await client.createTopic(stream, 'bench', { partitions: flags.partitions })
  return {
    stream,
    topic: 'bench',
    name: `${stream}/bench`,
    partitions: Array.from({ length: flags.partitions }, (_, i) => i),
    fresh: true,
    remove: async () => {
      if (flags.keep !== true) await client.deleteStream(stream)
    },
  }
}

async function use(client: Client, place: string): Promise<Workspace> {
  const slash = place.indexOf('/')
  const [stream, topic] = [identifier(place.slice(0, slash)), identifier(place.slice(slash + 1))]
  const found = await client.getTopic(stream, topic)
  if (found === null) {
    throw new CliError(
      'topic-not-found',
      `there is no topic ${place}; see them with: galgo topic list ${stream}`,
      ExitCode.notFound,
    )
  }
  const partitions = found.partitions.map((partition) => partition.id)
  return { stream, topic, name: place, partitions, fresh: false, remove: async () => {} }
}
