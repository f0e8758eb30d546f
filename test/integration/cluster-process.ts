// A process that does what `galgo cluster` does, with small files, so that making them takes no time.
import { type ClusterOptions, runCluster, ServerError } from '../../src/server/index.ts'

const given = JSON.parse(process.argv[2] as string) as Pick<
  ClusterOptions,
  'data' | 'nodes' | 'clientPort' | 'replicaPort' | 'httpPort'
>
const stop = new AbortController()
process.on('SIGINT', () => stop.abort())
try {
  process.exitCode = await runCluster({
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
