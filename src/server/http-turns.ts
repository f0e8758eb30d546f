// One request at a time on a connection. Whoever sends several without awaiting the answers gets these in order; but the next one
// is begun only when the answer before it has been taken, so what a connection makes a node hold is one answer, not all.
import type { Socket } from 'node:net'

/** Requests of one connection at a time, the one under way included; one more ends it. */
export const PIPELINED_MAX = 16

interface Line {
  count: number
  /** Resolves when the last one that came so far is over. */
  over: Promise<void>
}

/** Of an answer. */
interface Outgoing {
  once(event: 'close', listener: () => void): unknown
}

export class HttpTurns {
  readonly #lines = new WeakMap<Socket, Line>()

  /** When this request may begin: null, at once; false, never, because there are too many. */
  take(socket: Socket, outgoing: Outgoing): Promise<void> | null | false {
    const line = this.#lines.get(socket) ?? { count: 0, over: Promise.resolve() }
    if (line.count >= PIPELINED_MAX) return false
    this.#lines.set(socket, line)
    const turn = line.count === 0 ? null : line.over
    line.count += 1
    line.over = new Promise((over) => {
      outgoing.once('close', () => {
        line.count -= 1
        over()
      })
    })
    return turn
  }
}
