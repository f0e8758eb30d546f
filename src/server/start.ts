// `galgo start`: one node in the foreground, until a signal or a failure ends it.
import type { ConfigFlags } from './config.ts'
import { ServerError } from './errors.ts'

/** Resolves when the node has stopped in good order (SIGINT, SIGTERM); throws a ServerError on whatever else ends it. */
export async function startNode(flags: ConfigFlags): Promise<void> {
  throw new ServerError('bad-config', `not built yet: ${flags.data}`)
}
