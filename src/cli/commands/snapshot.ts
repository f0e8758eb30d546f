// galgo snapshot: an archive for support, written to a file.
import { writeFileSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { SNAPSHOT_PARTS, type SnapshotPart } from '../../protocol/commands/snapshot.ts'
import { asError, CliError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { type ConnectionFlags, withAnyNode, withConnection } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { size } from '../render/table.ts'
import { withClient } from '../sdk.ts'
import { listOf } from '../values.ts'

interface SnapshotFlags extends ConnectionFlags {
  readonly output?: string
  readonly parts: SnapshotPart[]
}

export function snapshotCommand({ io, action }: CommandContext): Command {
  return withAnyNode(withConnection(new Command('snapshot')))
    .description('collect what support wants to see of a node into a ZIP file, without secrets')
    .addOption(
      new Option('-o, --output <file>', 'where to write it, - for standard output (galgo-snapshot-TIME.zip here)'),
    )
    .addOption(
      new Option('--parts <list>', `with commas: ${SNAPSHOT_PARTS.join(', ')}`)
        .argParser(partList)
        .default(['all'], 'all'),
    )
    .addHelpText(
      'after',
      `
Versions, configuration, state of the cluster, figures of process and host, names and sizes of data files, the last lines of the
log. Passwords, keys, tokens and messages are not in it. It needs the right read-servers. An existing file is kept.

Examples:
  galgo snapshot -o support.zip
  galgo snapshot --servers 10.0.0.2:8090 --any-node --parts logs,configuration`,
    )
    .action(
      action(async (flags: SnapshotFlags) => {
        const { archive, node } = await withClient(flags, io, async (client) => ({
          archive: await client.snapshot({ parts: flags.parts }),
          node: client.server,
        }))
        if (flags.output === '-') {
          await io.out(archive)
          return undefined
        }
        const file = flags.output ?? `galgo-snapshot-${new Date().toISOString().replace(/[-:]|\.\d+/g, '')}.zip`
        write(file, archive)
        await io.out(
          flags.format === 'json'
            ? `${JSON.stringify({ file, bytes: archive.length, node })}\n`
            : `wrote ${file}, ${size(archive.length)}, of the node ${node}\n`,
        )
        return undefined
      }),
    )
}

function partList(text: string): SnapshotPart[] {
  const parts = listOf(SNAPSHOT_PARTS)(text)
  if (parts.includes('all') && parts.length > 1) throw new InvalidArgumentError('all is all: leave the others out.')
  return parts
}

/** Only for its owner: there are addresses and names in it. */
function write(file: string, archive: Uint8Array): void {
  try {
    writeFileSync(file, archive, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    const { code, message } = asError(error) as NodeJS.ErrnoException
    if (code === 'EEXIST')
      throw new CliError('file-exists', `${file} exists already; name another one with -o`, ExitCode.exists)
    throw new CliError('cannot-write', `cannot write the snapshot: ${message}; name another file with -o`)
  }
}
