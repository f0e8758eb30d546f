// The server's entries, loaded only by the commands that run nodes: they bring the addon, worker threads and the log.

export async function loadServer() {
  return await import('../server/index.ts')
}
