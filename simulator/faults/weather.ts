// Links between replicas that are worse than lossy: clogged for some kinds of frames, too narrow, flapping, cut for some pairs
// only; frames that come to the wrong replica, from another cluster, with other bits, or again, long after they were sent.
import { At, Command } from '../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import type { SeededRandom } from '../random.ts'
import type { LinkBreaker, NetworkProfile, Parcel } from '../virtual-network.ts'
import type { World } from '../world.ts'
import type { Choose } from './disks.ts'
import type { Fault, Site } from './fault.ts'

const RECORDED_MAX = 256
const COMMANDS: readonly [name: string, command: number][] = Object.entries(Command).filter(
  ([name]) => !['request', 'reply', 'eviction', 'reserved'].includes(name),
) as [string, number][]

interface Clog {
  readonly from: number
  readonly to: number
  /** null: all. */
  readonly command: number | null
  readonly until: number
}

/** A frame that was sent once. */
interface Recorded {
  readonly from: number
  readonly to: number
  readonly frame: Uint8Array
}

export class Weather implements LinkBreaker {
  readonly #world: World
  readonly #random: SeededRandom
  clogs: Clog[] = []
  /** Frames on their way at the same time, by link; what is more is dropped. */
  readonly capacity = new Map<number, number>()
  readonly #onTheirWay: Int32Array
  /** Chances, per frame. */
  misdelivered = 0
  flipped = 0
  /** A sample of everything that was ever sent. */
  readonly recorded: Recorded[] = []
  readonly #usual: NetworkProfile

  constructor(world: World, random: SeededRandom) {
    this.#world = world
    this.#random = random
    this.#onTheirWay = new Int32Array(world.nodes.length ** 2)
    this.#usual = world.network.profile
    world.network.breaker = this
  }

  calm(): void {
    this.clogs = []
    this.capacity.clear()
    this.misdelivered = 0
    this.flipped = 0
  }

  /** Chances, per frame, to be lost and to come twice; without any, those that the seed has drawn. */
  storm(chances: Pick<NetworkProfile, 'loss' | 'duplication'> = this.#usual): void {
    const { loss, duplication } = chances
    this.#world.network.profile = { ...this.#usual, loss, duplication }
  }

  /** Of the link between two nodes, this way. */
  link(from: number, to: number): number {
    return from * this.#world.nodes.length + to
  }

  carry(from: number, to: number, frame: Uint8Array, micros: number): Parcel | null {
    const { nodes, scheduler } = this.#world
    const link = this.link(from, to)
    const room = this.capacity.get(link)
    const onTheirWay = this.#onTheirWay[link] as number
    if (room !== undefined && onTheirWay >= room) {
      this.#world.mark('dropped at capacity')
      return null
    }
    this.#onTheirWay[link] = onTheirWay + 1
    let late = micros * Math.max(nodes[from]?.slowness ?? 1, nodes[to]?.slowness ?? 1)
    const command = frame[At.command]
    for (const clog of this.clogs) {
      if (clog.from === from && clog.to === to && (clog.command === null || clog.command === command))
        late = Math.max(late, clog.until - scheduler.now + this.#random.below(1000))
    }
    if (this.#random.chance(0.02)) this.#record({ from, to, frame: frame.slice() })
    const parcel = { to, frame, micros: late, damaged: false }
    if (this.flipped > 0 && this.#random.chance(this.flipped)) return this.#flip(parcel)
    if (this.misdelivered > 0 && this.#random.chance(this.misdelivered)) return this.#misdeliver(parcel, from)
    return parcel
  }

  arrived(from: number, to: number): void {
    const link = this.link(from, to)
    this.#onTheirWay[link] = (this.#onTheirWay[link] as number) - 1
  }

  #record(frame: Recorded): void {
    if (this.recorded.length < RECORDED_MAX) this.recorded.push(frame)
    else this.recorded[this.#random.below(RECORDED_MAX)] = frame
  }

  #flip(parcel: Parcel): Parcel {
    const frame = parcel.frame.slice()
    // Flipped twice, a bit is what it was.
    const bits = new Set<number>()
    for (let left = this.#random.between(1, 8); left > 0; left--)
      bits.add(8 * this.#random.below(frame.length) + this.#random.below(8))
    for (const bit of bits) frame[bit >>> 3] = (frame[bit >>> 3] as number) ^ (1 << (bit & 7))
    this.#world.mark('flipped frame')
    return { ...parcel, frame, damaged: true }
  }

  #misdeliver(parcel: Parcel, from: number): Parcel {
    this.#world.mark('misdelivered frame')
    const { nodes } = this.#world
    if (this.#random.chance(0.5)) {
      const others = nodes.map(({ index }) => index).filter((index) => index !== from)
      return { ...parcel, to: this.#random.pick(others) }
    }
    // As a cluster next door would send it: whole and sealed, with another cluster's number.
    const frame = parcel.frame.slice()
    const words = new Uint32Array(frame.buffer, 0, HEADER_SIZE / 4)
    words[At.cluster >>> 2] = ((words[At.cluster >>> 2] as number) ^ 0x5a5a) >>> 0
    this.#world.checksummer.mac(frame, 16, HEADER_SIZE, words, At.checksum >>> 2)
    return { ...parcel, frame }
  }
}

export function weatherFaults(site: Site, weather: Weather, add: (kind: Fault, choose: Choose) => void): void {
  const { world, all } = site
  const { network } = world
  const pair = (random: SeededRandom): [number, number] => {
    const a = random.pick(all)
    const b = random.below(all.length - 1)
    return [a, b >= a ? b + 1 : b]
  }
  const cut = (a: number, b: number, both: boolean): void => {
    network.cutOneWay(a, b)
    if (both) network.cutOneWay(b, a)
  }
  const mend = (a: number, b: number): void => {
    if (world.healed) return
    network.mend(a, b)
    network.mend(b, a)
  }

  add('cut-pair', (random, down) => {
    const [a, b] = pair(random)
    const micros = down()
    return {
      kind: 'cut-pair',
      what: `replicas ${a} and ${b} do not hear each other, for ${micros} µs`,
      act: () => {
        cut(a, b, true)
        world.scheduler.after(micros, () => mend(a, b))
      },
    }
  })

  add('flap', (random, down) => {
    const [a, b] = pair(random)
    const both = random.chance(0.5)
    const period = random.between(10_000, 300_000)
    const micros = 2 * down()
    return {
      kind: 'flap',
      what: `the link of replicas ${a} and ${b}${both ? '' : ', one way'}, every ${period} µs, for ${micros} µs`,
      act: () => {
        const until = world.scheduler.now + micros
        const flip = (isCut: boolean): void => {
          if (world.healed) return
          const over = world.scheduler.now >= until
          if (isCut || over) mend(a, b)
          else cut(a, b, both)
          if (!over) world.scheduler.after(period, () => flip(!isCut))
        }
        flip(false)
      },
    }
  })

  add('clog', (random, down) => {
    const [from, to] = pair(random)
    const [name, command] = random.pick(COMMANDS)
    const all = random.chance(0.3)
    const micros = 2 * down()
    return {
      kind: 'clog',
      what: `${all ? 'everything' : name} from replica ${from} to ${to} waits, for ${micros} µs`,
      act: () => {
        const { now } = world.scheduler
        weather.clogs = weather.clogs.filter((clog) => clog.until > now)
        weather.clogs.push({ from, to, command: all ? null : command, until: now + micros })
      },
    }
  })

  add('capacity', (random, down) => {
    const [from, to] = pair(random)
    const room = random.between(1, 20)
    const micros = 4 * down()
    return {
      kind: 'capacity',
      what: `${room} frames at a time from replica ${from} to ${to}, for ${micros} µs`,
      act: () => {
        const link = weather.link(from, to)
        weather.capacity.set(link, room)
        world.scheduler.after(micros, () => weather.capacity.delete(link))
      },
    }
  })

  add('misdelivery', (random, down) => {
    const share = random.between(1, 100) / 1000
    const micros = 2 * down()
    return {
      kind: 'misdelivery',
      what: `${share} of the frames go to the wrong replica or come from another cluster, for ${micros} µs`,
      act: () => {
        weather.misdelivered = share
        world.scheduler.after(micros, () => {
          weather.misdelivered = 0
        })
      },
    }
  })

  add('bit-flip', (random, down) => {
    const share = random.between(1, 100) / 1000
    const micros = 2 * down()
    return {
      kind: 'bit-flip',
      what: `${share} of the frames arrive with other bits, for ${micros} µs`,
      act: () => {
        weather.flipped = share
        world.scheduler.after(micros, () => {
          weather.flipped = 0
        })
      },
    }
  })

  add('storm', (random, down) => {
    const chances = { loss: random.between(10, 30) / 100, duplication: random.between(0, 50) / 100 }
    const micros = 2 * down()
    return {
      kind: 'storm',
      what: `${chances.loss} of the frames are lost, ${chances.duplication} of the others come twice, for ${micros} µs`,
      act: () => {
        weather.storm(chances)
        world.scheduler.after(micros, () => {
          if (!world.healed) weather.storm()
        })
      },
    }
  })

  add('replay', (random) => {
    const count = random.between(1, 30)
    const first = random.below(RECORDED_MAX)
    return {
      kind: 'replay',
      what: `${count} frames of any time before`,
      act: () => {
        for (let i = 0; i < count && weather.recorded.length > 0; i++) {
          const { to, frame } = weather.recorded[(first + i) % weather.recorded.length] as Recorded
          world.mark('replayed frame')
          world.scheduler.after(1 + i, () => world.deliver(to, frame))
        }
      },
    }
  })

  add('client-cut', (random, down) => {
    const index = random.pick(all)
    const everybody = random.chance(0.5)
    const client = random.below(4)
    const micros = 2 * down()
    return {
      kind: 'client-cut',
      what: `${everybody ? 'all clients' : `client ${client}`} from replica ${index}, for ${micros} µs`,
      act: () => {
        const cuts = (everybody ? world.clients : world.clients.filter((c) => c.index === client)).map(
          ({ key }) => `${key} ${index}`,
        )
        for (const link of cuts) world.clientCuts.add(link)
        world.scheduler.after(micros, () => {
          for (const link of cuts) world.clientCuts.delete(link)
        })
      },
    }
  })
}
