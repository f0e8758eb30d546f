// Ports for servers that have to be told theirs, in tests and in `galgo chaos`. They lie below the range from which the kernel
// takes ports for outgoing connections, in blocks of which each process owns one: whoever listens on the block's first port.
// So neither a connection nor another process like this can take a port between the moment it is given out and the moment a
// server listens on it.
import { createServer, type Server } from 'node:net'

const FIRST = 20_000
const END = 32_000
const BLOCK = 80

let guard: Server | null = null
let next = 0
let end = 0

function listen(port: number): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(null))
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}

async function takeBlock(): Promise<void> {
  for (let first = FIRST; first < END; first += BLOCK) {
    guard = await listen(first)
    if (guard === null) continue
    guard.unref()
    next = first + 1
    end = first + BLOCK
    return
  }
  throw new Error(`every block of ports from ${FIRST} to ${END} is taken`)
}

/** Consecutive ports on which nobody listens, and which nobody but the caller gets. */
export async function freePorts(count: number): Promise<number[]> {
  if (guard === null) await takeBlock()
  let ports: number[] = []
  while (ports.length < count) {
    if (next === end) throw new Error(`a process has ${BLOCK - 1} ports`)
    const port = next++
    const server = await listen(port)
    if (server === null) {
      ports = []
      continue
    }
    await new Promise((closed) => server.close(closed))
    ports.push(port)
  }
  return ports
}
