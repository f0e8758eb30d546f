// A run as lines, one for each event that did something: frames that arrive or do not, what a disk has done, ticks that led to
// something, faults, and what replicas log. Numbered as the scheduler counts, so that a part can be asked for.
import type { SimNode } from './node.ts'
import { describeFrame } from './stage/flights.ts'
import type { Watcher } from './swarm.ts'
import type { World } from './world.ts'

export interface EventLine {
  readonly event: number
  readonly atMicros: number
  readonly text: string
}

export class EventLines implements Watcher {
  readonly #from: number
  readonly #to: number
  readonly #print: (line: EventLine) => void
  #world: World | null = null

  /** Events from number `from` to number `to`. */
  constructor(from: number, to: number, print: (line: EventLine) => void) {
    this.#from = from
    this.#to = to
    this.#print = print
  }

  /** A line of the world, which begins with its time. */
  onLog(line: string): void {
    if (this.#wanted) this.#line(line.slice(line.indexOf(' ') + 1))
  }

  onWorld(world: World): void {
    this.#world = world
    const { network } = world
    let duplicated = 0
    network.onFlight = (from, to, frame, micros) => {
      const again = network.counts.duplicated > duplicated
      duplicated = network.counts.duplicated
      if (micros === null) this.#frame(from, to, frame, network.isCut(from, to) ? 'cut off' : 'lost')
      else if (again) this.#frame(from, to, frame, 'doubled')
    }
    const { deliver } = network
    network.deliver = (to, from, frame, damaged) => {
      this.#frame(from, to, frame, world.nodes[to]?.alive ? '' : 'nobody is there')
      deliver(to, from, frame, damaged)
    }
    world.onClientFlight = (client, node, frame, toNode, micros) => {
      if (!this.#wanted) return
      const [from, to] = toNode ? [`client ${client.index}`, node] : [node, `client ${client.index}`]
      this.#line(`${from} > ${to}  ${describeFrame(frame).label}, arrives in ${micros} µs`)
    }
    for (const node of world.nodes) this.#watch(node)
  }

  #watch(node: SimNode): void {
    const world = this.#world as World
    node.disk.onDone = ({ op, file, sector, count }) => {
      if (!this.#wanted) return
      const where = op === 'read' || op === 'write' ? `${file} ${sector}+${count}` : file
      this.#line(`disk ${node.index} ${op} ${where}`)
    }
    let status = ''
    let sent = 0
    node.onTicking = () => {
      sent = world.network.counts.sent
      status = statusOf(node)
    }
    node.onTicked = () => {
      const now = statusOf(node)
      const frames = world.network.counts.sent - sent
      if (!this.#wanted || (frames === 0 && now === status)) return
      this.#line(`tick ${node.index} ${now}${frames === 0 ? '' : `, ${frames} frames sent`}`)
    }
  }

  #frame(from: number, to: number, frame: Uint8Array, fate: string): void {
    if (this.#wanted) this.#line(`${from} > ${to}  ${describeFrame(frame).label}${fate === '' ? '' : `: ${fate}`}`)
  }

  #line(text: string): void {
    const { events = 0, now = 0 } = this.#world?.scheduler ?? {}
    this.#print({ event: events, atMicros: now, text })
  }

  get #wanted(): boolean {
    const events = this.#world?.scheduler.events ?? 0
    return events >= this.#from && events <= this.#to
  }
}

function statusOf({ replica }: SimNode): string {
  return replica === null ? 'down' : `${replica.status} view ${replica.view} commit ${replica.commitMin}/${replica.op}`
}
