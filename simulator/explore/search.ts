// Breadth first through the states of the cluster: its agents, and their context. The shortest way to a violation is found first.
import type { SeededRandom } from '../random.ts'
import type { Agent, Cluster } from './cluster.ts'
import { type Context, Contexts, type Fault } from './context.ts'
import type { Step } from './local.ts'
import { StateTable } from './states.ts'

/** Moves of a random walk. */
const WALK_MAX = 1000
/** A move as one number: its replica above this, which of its moves below. */
const MOVES_MAX = 0x10000

export type Path = readonly (readonly [replica: number, move: number])[]

export interface Found extends Fault {
  /** From the first state on. */
  readonly path: Path
}

/** A state, for those who go one way only. */
export interface Position {
  readonly agents: readonly Agent[]
  readonly context: Context
}

export class Search {
  readonly cluster: Cluster
  readonly first: Position
  readonly #contexts: Contexts
  /** By row: agents, context. */
  readonly #states: StateTable
  readonly #scratch: Agent[] = []
  readonly #row: number[] = []
  /** States whose moves were all made. */
  #done = 0
  #levelEnd = 1
  depth = 0
  transitions = 0
  found: Found | null = null

  constructor(cluster: Cluster) {
    this.cluster = cluster
    this.#contexts = new Contexts(cluster.scope)
    this.#states = new StateTable(cluster.scope.replicas + 1)
    this.first = { agents: cluster.start(), context: this.#contexts.first }
    this.#add(this.first.agents, this.first.context, 0, 0)
  }

  get states(): number {
    return this.#states.size
  }

  /** States to go on from. */
  get frontier(): number {
    return this.#states.size - this.#done
  }

  /** Makes the moves of the next `count` states, fewer once there are `statesMax`; says whether there are any left. */
  advance(count: number, statesMax = Number.POSITIVE_INFINITY): boolean {
    const { replicas } = this.cluster.scope
    const before: Agent[] = []
    for (let n = 0; n < count && this.found === null && this.states < statesMax; n++) {
      if (this.frontier === 0) return false
      const state = this.#done
      if (state === this.#levelEnd) {
        this.depth += 1
        this.#levelEnd = this.states
      }
      for (let r = 0; r < replicas; r++) before[r] = this.cluster.agents[this.#states.at(state, r)] as Agent
      const context = this.#contexts.all[this.#states.at(state, replicas)] as Context
      for (let r = 0; r < replicas; r++) {
        const moves = this.cluster.moves(before[r] as Agent)
        for (let m = 0; m < moves.length; m++) {
          const step = moves[m] as Step
          const after = this.#contexts.spend(context, r, step.event)
          if (after === null) continue
          this.transitions += 1
          this.#make(state, before, after, r, m, step)
          if (this.found !== null) return false
        }
      }
      this.#done += 1
    }
    return this.found === null && this.frontier > 0
  }

  #make(state: number, before: readonly Agent[], context: Context, r: number, m: number, step: Step): void {
    const fault = this.#contexts.fault(context, step)
    if (fault !== null) {
      const way = this.#states.wayTo(state).map((move) => [Math.floor(move / MOVES_MAX), move % MOVES_MAX] as const)
      this.found = { ...fault, path: [...way, [r, m]] }
      return
    }
    const agents = this.#scratch
    for (let i = 0; i < before.length; i++) agents[i] = before[i] as Agent
    this.cluster.make(agents, r, step)
    this.#add(agents, this.#contexts.commit(context, step), state, r * MOVES_MAX + m)
  }

  #add(agents: readonly Agent[], context: Context, parent: number, move: number): void {
    const row = this.#row
    for (let r = 0; r < agents.length; r++) row[r] = (agents[r] as Agent).id
    row[agents.length] = context.id
    this.#states.add(row, parent, move)
  }

  /** What comes of one move, or what it breaks; null when the scope does not allow it. */
  move({ agents, context }: Position, r: number, m: number): { next: Position; fault: Fault | null } | null {
    const step = this.cluster.moves(agents[r] as Agent)[m]
    const after = step === undefined ? null : this.#contexts.spend(context, r, step.event)
    if (step === undefined || after === null) return null
    const fault = this.#contexts.fault(after, step)
    const next = agents.slice()
    if (fault === null) this.cluster.make(next, r, step)
    return { next: { agents: next, context: this.#contexts.commit(after, step) }, fault }
  }

  /** One way at random, until there are no moves left or something is broken. */
  walk(random: SeededRandom): Found | null {
    const path: [number, number][] = []
    for (let position = this.first; path.length < WALK_MAX; ) {
      const made = this.#someMove(position, random, path)
      if (made === null) return null
      if (made.fault !== null) return { ...made.fault, path }
      position = made.next
    }
    return null
  }

  #someMove(position: Position, random: SeededRandom, path: [number, number][]): ReturnType<Search['move']> {
    const choices = position.agents.flatMap((agent, r) =>
      this.cluster.moves(agent).map((_, m): [number, number] => [r, m]),
    )
    while (choices.length > 0) {
      const [choice] = choices.splice(random.below(choices.length), 1) as [[number, number]]
      const made = this.move(position, ...choice)
      if (made === null) continue
      path.push(choice)
      return made
    }
    return null
  }
}
