// What the driver tests share: the drivers to test, operations as promises, sockets in pairs, scratch directories.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { loadAddon } from '../src/addon.ts'
import { type IoDriver, type Listener, openDriver, SECTOR } from '../src/index.ts'
import { PortableDriver } from '../src/portable-driver.ts'

export interface Candidate {
  readonly name: string
  /** Why it cannot be tested here, or false. */
  readonly skip: string | false
  open(entries?: number): Promise<IoDriver>
}

export async function candidates(): Promise<Candidate[]> {
  const { addon, reason } = loadAddon()
  const ring = await openDriver({ kind: 'io_uring' }).then(
    (driver) => driver.close().then((): false => false),
    (error: Error) => error.message,
  )
  return [
    { name: 'io_uring', skip: ring, open: (entries) => openDriver({ kind: 'io_uring', entries }) },
    { name: 'portable', skip: addon === null && reason, open: () => openDriver({ kind: 'portable' }) },
    {
      name: 'portable without the addon',
      skip: false,
      open: async () => new PortableDriver({ reason: '', addon: null }),
    },
  ]
}

export const HOST = '127.0.0.1'

/** Memory of a driver as one view. */
export function memory(driver: IoDriver, size: number): Uint8Array {
  const slab = driver.allocate(size)
  return new Uint8Array(slab.buffer, slab.offset, size)
}

export function fill(view: Uint8Array, seed: number): Uint8Array {
  let state = seed >>> 0
  for (let i = 0; i < view.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    view[i] = state >>> 24
  }
  return view
}

export function receive(
  driver: IoDriver,
  socket: number,
  view: Uint8Array,
  from: number,
  length: number,
  waitAll = false,
): Promise<number> {
  return new Promise((resolve) => driver.receive(socket, view, from, length, waitAll, resolve))
}

export function send(driver: IoDriver, socket: number, view: Uint8Array, from = 0, length = view.length) {
  return new Promise<number>((resolve) => driver.send(socket, view, from, length, resolve))
}

export function connect(driver: IoDriver, port: number, host = HOST): Promise<number> {
  return new Promise((resolve) => driver.connect(host, port, resolve))
}

export function read(driver: IoDriver, fd: number, view: Uint8Array, position: number, from = 0, length = view.length) {
  return new Promise<number>((resolve) => driver.read(fd, view, from, length, position, resolve))
}

export function write(
  driver: IoDriver,
  fd: number,
  view: Uint8Array,
  position: number,
  from = 0,
  length = view.length,
) {
  return new Promise<number>((resolve) => driver.write(fd, view, from, length, position, resolve))
}

export function sync(driver: IoDriver, fd: number): Promise<number> {
  return new Promise((resolve) => driver.sync(fd, resolve))
}

export interface Pair {
  readonly listener: Listener
  readonly client: number
  readonly server: number
  readonly address: string
}

/** Two sockets of one driver that are connected with each other. */
export async function pair(driver: IoDriver, host = HOST): Promise<Pair> {
  const accepted = Promise.withResolvers<{ socket: number; address: string }>()
  const listener = await driver.listen(host, 0, (socket, address) => accepted.resolve({ socket, address }))
  const client = await connect(driver, listener.port, host)
  if (client < 0) throw new Error(`connect: ${client}`)
  const { socket: server, address } = await accepted.promise
  return { listener, client, server, address }
}

export interface Scratch {
  readonly path: string
  file(name: string): string
}

/** A directory for the time of a test. */
export function scratch(t: TestContext): Scratch {
  const path = mkdtempSync(join(tmpdir(), 'io-uring-napi-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return { path, file: (name) => join(path, name) }
}

export { SECTOR }
