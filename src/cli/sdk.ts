// How commands reach the cluster: the SDK, loaded when the first command needs it.
import type { Client } from '../index.ts'
import type { Checksummer } from '../protocol/checksum.ts'
import { type Connection, type ConnectionFlags, connectionOf } from './flags.ts'
import type { CliIo } from './io.ts'

const NOTE_AFTER_MS = 2000

/** Connects, runs, and closes whatever happens. */
export async function withClient<T>(
  flags: ConnectionFlags,
  io: CliIo,
  run: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await patiently(connectionOf(flags, io), flags, io)
  try {
    const result = await run(client)
    await client.close()
    return result
  } catch (error) {
    // Of no use any more, and who was told that it failed does not wait for it.
    await client.close({ graceMs: 0 })
    throw error
  }
}

/** Silence for half a minute looks like a command that hangs. */
async function patiently(connection: Connection, { format }: ConnectionFlags, io: CliIo): Promise<Client> {
  const { servers, timeoutMs } = connection
  const note = (): void =>
    io.err(
      `no answer from ${servers.join(', ')} yet; trying for ${timeoutMs / 1000} s (--timeout). \`galgo cluster\` starts a cluster on this machine\n`,
    )
  const timer = format === 'text' && timeoutMs > NOTE_AFTER_MS ? setTimeout(note, NOTE_AFTER_MS) : undefined
  try {
    return await openClient(connection, io.stop)
  } finally {
    clearTimeout(timer)
  }
}

/** Ctrl-C ends the connecting, but not the client: what was begun is flushed, stored and removed in order. */
export async function openClient(
  connection: Connection,
  stop: AbortSignal,
  checksummer?: Checksummer,
): Promise<Client> {
  const { connect } = await import('../index.ts')
  const connecting = new AbortController()
  const onStop = (): void => connecting.abort(stop.reason)
  stop.throwIfAborted()
  stop.addEventListener('abort', onStop, { once: true })
  try {
    return await connect({
      ...connection,
      signal: connecting.signal,
      ...(checksummer === undefined ? {} : { checksummer }),
    })
  } finally {
    stop.removeEventListener('abort', onStop)
  }
}
