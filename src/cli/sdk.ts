// How commands reach the cluster: the SDK, loaded when the first command needs it.
import type { Client } from '../index.ts'
import type { Checksummer } from '../protocol/checksum.ts'
import { type Connection, type ConnectionFlags, connectionOf } from './flags.ts'
import type { CliIo } from './io.ts'

/** Connects, runs, and closes whatever happens. */
export async function withClient<T>(
  flags: ConnectionFlags,
  io: CliIo,
  run: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await openClient(connectionOf(flags, io), io.stop)
  try {
    return await run(client)
  } finally {
    await client.close()
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
