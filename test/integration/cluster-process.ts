// A process that does what `galgo cluster` does, with small files, so that making them takes no time.
import { runCluster, ServerError } from '../../src/server/index.ts'

const given = JSON.parse(process.argv[2] as string) as { data: string; nodes?: number; clientPort?: number }
const stop = new AbortController()
process.on('SIGINT', () => stop.abort())
try {
  process.exitCode = await runCluster({
    nodes: 3,
    clientPort: 0,
    replicaPort: 0,
    httpPort: 0,
    frameSizeMax: 64 * 1024,
    journalSlots: 128,
    format: 'json',
    io: {
      out: (text) => void process.stdout.write(text),
      err: (text) => void process.stderr.write(text),
      stop: stop.signal,
    },
    ...given,
  })
} catch (error) {
  if (!(error instanceof ServerError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
