// Ports for servers that have to be told theirs, in tests and in `galgo chaos`. They lie below the range from which the kernel
// takes ports for outgoing connections, in blocks that belong to one process: whoever listens on the block's first port.
// So neither a connection nor another process like this can take a port between the moment it is given out and the moment a
// server listens on it. A block in which anybody else listens, a node that has outlived its test say, is nobody's.
import { createServer, type Server } from 'node:net'

const FIRST = 20_000
const END = 32_000
const BLOCK = 80

export interface PortBlock {
  /** Keeps the block, and no process alive. */
  readonly guard: Server
  next: number
  readonly end: number
}

let own: Promise<PortBlock> | null = null

function listen(port: number): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(null))
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}

function close(server: Server): Promise<void> {
  return new Promise((closed) => server.close(() => closed()))
}

/** The first block from this port on of which every port is free. */
export async function takeBlock(from = FIRST): Promise<PortBlock> {
  for (let first = from; first < END; first += BLOCK) {
    const guard = await listen(first)
    if (guard === null) continue
    if (await areFree(first + 1, first + BLOCK)) {
      guard.unref()
      return { guard, next: first + 1, end: first + BLOCK }
    }
    await close(guard)
  }
  throw new Error(
    `somebody listens in every block of ${BLOCK} ports from ${from} to ${END}; end what earlier runs left behind`,
  )
}

async function areFree(from: number, end: number): Promise<boolean> {
  const ports = Array.from({ length: end - from }, (_, i) => from + i)
  const servers = await Promise.all(ports.map(listen))
  await Promise.all(servers.map(async (server) => server !== null && (await close(server))))
  return !servers.includes(null)
}

/** Consecutive ports on which nobody listens, and which nobody but the caller gets. */
export async function freePorts(count: number): Promise<number[]> {
  if (count >= BLOCK) throw new Error(`${count} ports: a block has ${BLOCK - 1}`)
  for (;;) {
    own ??= takeBlock()
    const taken = own
    const block = await taken
    const first = block.next
    if (first + count <= block.end) {
      block.next += count
      return Array.from({ length: count }, (_, i) => first + i)
    }
    // Whoever sees it first takes another one; the guard of this one stays, for its ports are in use.
    if (own === taken) own = takeBlock(block.end)
  }
}
