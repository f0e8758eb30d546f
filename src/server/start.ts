// `galgo start`: one node in the foreground, until a signal or a failure ends it.
import { type ConfigFlags, loadConfig } from './config.ts'
import { openLog } from './log.ts'
import { LogRing } from './log-ring.ts'
import { GalgoNode } from './node.ts'

/** Resolves when the node has stopped in good order (SIGINT, SIGTERM); throws a ServerError on whatever else ends it. */
export async function startNode(flags: ConfigFlags): Promise<void> {
  const config = loadConfig(flags, process.env)
  const recent = new LogRing()
  const log = openLog(config.log, { pid: process.pid }, recent)
  const stop = new AbortController()
  const onSignal = (): void => stop.abort()
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  try {
    const node = await GalgoNode.open({ config, log, recent })
    const onHangUp = (): void => node.reloadCertificate()
    if (config.certificate !== null) {
      process.on('SIGHUP', onHangUp)
      void node.ended.catch(() => {}).finally(() => process.off('SIGHUP', onHangUp))
    }
    const stopNode = (): void => void node.stop().catch(() => {})
    if (stop.signal.aborted) stopNode()
    stop.signal.addEventListener('abort', stopNode)
    await node.ended
    log.info('stopped')
  } finally {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
    log.close()
  }
}
