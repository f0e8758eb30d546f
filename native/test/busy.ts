// A thread or process with operations of every kind in flight, which then ends in one of several ways.
//   argv: kind, a scratch directory, how
import { join } from 'node:path'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { type DriverKind, openDriver } from '../src/index.ts'
import { connect, memory, pair } from './harness.ts'

export type Ending =
  /** Works on until somebody ends it. */
  | 'never'
  /** process.exit(7) from inside a completion. */
  | 'exit'
  /** An exception from inside a completion. */
  | 'throw'
  /** Lets all operations end and leaves the driver open. */
  | 'idle'

export interface BusyData {
  readonly kind: DriverKind
  readonly directory: string
  readonly ending: Ending
}

const ROUNDS = 60
const PIECE = 64 * 1024

async function main({ kind, directory, ending }: BusyData): Promise<void> {
  const driver = await openDriver({ kind, entries: 32 })
  const bytes = memory(driver, 4 * 2 ** 20)
  let rounds = 0
  let stopping = false
  const turn = (): boolean => {
    rounds += 1
    if (rounds === ROUNDS) {
      if (isMainThread) process.stdout.write('busy\n')
      else parentPort?.postMessage('busy')
      if (ending === 'exit') process.exit(7)
      if (ending === 'throw') throw new Error('thrown in a completion')
      if (ending === 'idle') stopping = true
    }
    return !stopping
  }

  for (let i = 0; i < 3; i++) {
    const { client, server, listener } = await pair(driver)
    const from = i * 2 * PIECE
    const echo = (result: number): void => {
      if (result > 0 && turn()) {
        driver.send(client, bytes, from, PIECE, () => {})
        driver.receive(server, bytes, from + PIECE, PIECE, true, echo)
      } else {
        listener.close()
        driver.close(client)
        driver.close(server)
      }
    }
    echo(1)
    // Waits for bytes that never come.
    if (ending !== 'idle') driver.receive(client, bytes, 3 * 2 ** 20, 1, false, () => {})
  }

  const fd = driver.open(join(directory, 'busy'), { create: true, direct: true })
  const write = (result: number): void => {
    if (result > 0 && turn()) {
      driver.sync(fd, () => {})
      driver.write(fd, bytes, 2 * 2 ** 20, PIECE, (rounds % 16) * PIECE, write)
    }
  }
  write(1)
  if (ending !== 'idle') {
    const idle = await driver.listen('127.0.0.1', 0, () => {})
    void connect(driver, idle.port)
  }
}

const data = isMainThread
  ? { kind: process.argv[2] as DriverKind, directory: process.argv[3] as string, ending: process.argv[4] as Ending }
  : (workerData as BusyData)
await main(data)
