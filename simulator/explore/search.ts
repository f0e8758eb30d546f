// Breadth first through the states of the cluster. A state is: the agents, what was committed so far, and how much of the
// scope is used up. States are compared whole, by number; the shortest way to a violation is found first.
import { assert } from '../../src/protocol/assert.ts'
import type { SeededRandom } from '../random.ts'
import type { Agent, Cluster, Move, Scope } from './cluster.ts'
import type { Step } from './machine.ts'

/** Moves of a random walk. */
const WALK_MAX = 1000

export interface Fault {
  readonly checker: string
  readonly what: string
}

export interface Found extends Fault {
  /** From the first state on: which replica, and which of its moves. */
  readonly path: readonly (readonly [replica: number, move: number])[]
}

/** What was committed, and what is left to happen. Equal ones are the same object. */
interface Context {
  readonly id: number
  /** By op - 1: the prepare and the lowest view in which it was executed. */
  readonly committed: readonly { readonly id: number; readonly view: number }[]
  readonly operations: number
  readonly timeouts: number
  readonly crashes: number
  readonly corruptions: number
  /** `slot replica` of what was corrupted. */
  readonly damaged: readonly string[]
}

/** A state, for those who go one way only. */
export interface Position {
  readonly agents: readonly Agent[]
  readonly context: Linked
}

interface Linked extends Context {
  /** By what is used up next. */
  readonly after: Map<string, Linked | null>
  readonly committing: Map<Step, Linked>
}

export class Search {
  readonly cluster: Cluster
  readonly #scope: Scope
  readonly #width: number
  readonly #invariants: ReadonlySet<string>
  /** One row per state: agents, context. */
  #rows: Uint32Array
  #parents: Uint32Array
  #moves: Uint32Array
  #capacity = 1 << 16
  /** Row number + 1 by hash. */
  #table: Uint32Array
  readonly #contexts: Linked[] = []
  readonly #contextIds = new Map<string, Linked>()
  readonly #scratch: Agent[] = []
  readonly first: Position
  states = 0
  /** States whose moves were all made. */
  done = 0
  depth = 0
  #levelEnd = 1
  transitions = 0
  found: Found | null = null

  constructor(cluster: Cluster) {
    this.cluster = cluster
    this.#scope = cluster.scope
    this.#invariants = new Set(cluster.scope.invariants)
    this.#width = cluster.scope.replicas + 1
    this.#rows = new Uint32Array(this.#capacity * this.#width)
    this.#parents = new Uint32Array(this.#capacity)
    this.#moves = new Uint32Array(this.#capacity)
    this.#table = new Uint32Array(this.#capacity * 2)
    const none = { committed: [], operations: 0, timeouts: 0, crashes: 0, corruptions: 0, damaged: [] }
    this.first = { agents: cluster.start(), context: this.#context(none) }
    this.#add(this.first.agents, this.first.context, 0, 0)
  }

  get frontier(): number {
    return this.states - this.done
  }

  #context(parts: Omit<Context, 'id'>): Linked {
    const { committed, operations, timeouts, crashes, corruptions, damaged } = parts
    const own = { committed, operations, timeouts, crashes, corruptions, damaged }
    const key = JSON.stringify(own)
    let context = this.#contextIds.get(key)
    if (context === undefined) {
      context = { id: this.#contexts.length, ...own, after: new Map(), committing: new Map() }
      this.#contexts.push(context)
      this.#contextIds.set(key, context)
    }
    return context
  }

  /** Makes the moves of the next `count` states; says whether there are any left. */
  advance(count: number): boolean {
    const { replicas } = this.#scope
    const before: Agent[] = []
    for (let n = 0; n < count && this.found === null; n++) {
      if (this.done === this.states) return false
      if (this.done === this.#levelEnd) {
        this.depth += 1
        this.#levelEnd = this.states
      }
      const state = this.done
      const at = state * this.#width
      for (let r = 0; r < replicas; r++) before[r] = this.cluster.agents[this.#rows[at + r] as number] as Agent
      const context = this.#contexts[this.#rows[at + replicas] as number] as Linked
      for (let r = 0; r < replicas; r++) {
        const moves = this.cluster.moves(before[r] as Agent)
        for (let m = 0; m < moves.length; m++) {
          const after = this.#spend(context, r, moves[m] as Move)
          if (after === null) continue
          this.transitions += 1
          this.#make(state, before, after, r, m, (moves[m] as Move).step)
          if (this.found !== null) return false
        }
      }
      this.done += 1
    }
    return this.found === null && this.done < this.states
  }

  #make(state: number, before: readonly Agent[], context: Linked, r: number, m: number, step: Step): void {
    const fault = this.#fault(context, step)
    if (fault !== null) {
      this.found = { ...fault, path: [...this.#pathTo(state), [r, m]] }
      return
    }
    const agents = this.#scratch
    for (let i = 0; i < before.length; i++) agents[i] = before[i] as Agent
    this.cluster.make(agents, r, step)
    this.#add(agents, this.#commit(context, step), state, r * 0x10000 + m)
  }

  /** What comes of one move, or what it breaks; null when the scope does not allow it. */
  move({ agents, context }: Position, r: number, m: number): { next: Position; fault: Fault | null } | null {
    const move = this.cluster.moves(agents[r] as Agent)[m]
    const after = move === undefined ? null : this.#spend(context, r, move)
    if (move === undefined || after === null) return null
    const fault = this.#fault(after, move.step)
    const next = agents.slice()
    if (fault === null) this.cluster.make(next, r, move.step)
    return { next: { agents: next, context: this.#commit(after, move.step) }, fault }
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

  /** What is left after this move; null when the scope does not allow it. */
  #spend(context: Linked, replica: number, { event }: Move): Linked | null {
    const { kind } = event
    if (kind === 'deliver' || kind === 'tick' || kind === 'write') return context
    const key = kind === 'corrupt' ? `${event.slot} ${replica}` : kind
    let after = context.after.get(key)
    if (after === undefined) {
      after = this.#without(context, kind, key)
      context.after.set(key, after)
    }
    return after
  }

  #without(context: Linked, kind: 'submit' | 'timeout' | 'crash' | 'corrupt', copy: string): Linked | null {
    const used = { submit: 'operations', timeout: 'timeouts', crash: 'crashes', corrupt: 'corruptions' } as const
    const name = used[kind]
    if (context[name] === this.#scope[name]) return null
    let { damaged } = context
    if (kind === 'corrupt') {
      const slot = copy.slice(0, copy.indexOf(' ') + 1)
      const copies = new Set([...damaged.filter((other) => other.startsWith(slot)), copy])
      // Never a majority of the copies of one op: no protocol could repair that.
      if (2 * copies.size > this.#scope.replicas) return null
      damaged = [...new Set([...damaged, copy])].sort()
    }
    return this.#context({ ...context, damaged, [name]: context[name] + 1 })
  }

  /** Does this step break a promise, after all that was committed before? */
  #fault(context: Context, step: Step): Fault | null {
    if (step.violation !== null) return step.violation
    for (const { op, id } of step.executed) {
      const known = context.committed[op - 1]
      if (known === undefined || known.id === id) continue
      return this.#checked({
        checker: 'agreement',
        what: `op ${op} is executed a second time, and is another one`,
      })
    }
    if (step.begun === null) return null
    const { view, log } = step.begun
    for (let op = 1; op <= context.committed.length; op++) {
      const known = context.committed[op - 1] as Context['committed'][number]
      if (known.view >= view || log[op - 1] === known.id || log[op - 1] === 0) continue
      return this.#checked({
        checker: 'loss',
        what: `view ${view} begins with a log that ends at op ${log.length}: op ${op}, committed in view ${known.view}, is ${op > log.length ? 'not in it' : 'another one in it'}`,
      })
    }
    return null
  }

  #checked(fault: Fault): Fault | null {
    return this.#invariants.has(fault.checker) ? fault : null
  }

  #commit(context: Linked, step: Step): Linked {
    if (step.executed.length === 0) return context
    let after = context.committing.get(step)
    if (after === undefined) {
      const committed = [...context.committed]
      for (const { op, id, logView } of step.executed) {
        const known = committed[op - 1]
        committed[op - 1] = { id, view: known === undefined ? logView : Math.min(known.view, logView) }
      }
      after = this.#context({ ...context, committed })
      context.committing.set(step, after)
    }
    return after
  }

  #add(agents: readonly Agent[], context: Context, parent: number, move: number): void {
    const width = this.#width
    const last = width - 1
    let hash = Math.imul(context.id + 1, 0x9e3779b1)
    for (let r = 0; r < last; r++) {
      hash = Math.imul(hash ^ ((agents[r] as Agent).id + 1), 0x85ebca6b)
      hash ^= hash >>> 15
    }
    const mask = this.#table.length - 1
    let slot = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35) & mask
    for (let row = this.#table[slot] as number; row !== 0; row = this.#table[slot] as number) {
      const at = (row - 1) * width
      let same = this.#rows[at + last] === context.id
      for (let r = 0; same && r < last; r++) same = this.#rows[at + r] === (agents[r] as Agent).id
      if (same) return
      slot = (slot + 1) & mask
    }
    if (this.states === this.#capacity) {
      this.#grow()
      return this.#add(agents, context, parent, move)
    }
    const at = this.states * width
    for (let r = 0; r < last; r++) this.#rows[at + r] = (agents[r] as Agent).id
    this.#rows[at + last] = context.id
    this.#parents[this.states] = parent
    this.#moves[this.states] = move
    this.states += 1
    this.#table[slot] = this.states
  }

  #grow(): void {
    const grown = (from: Uint32Array, length: number): Uint32Array => {
      const to = new Uint32Array(length)
      to.set(from)
      return to
    }
    this.#capacity *= 2
    this.#rows = grown(this.#rows, this.#capacity * this.#width)
    this.#parents = grown(this.#parents, this.#capacity)
    this.#moves = grown(this.#moves, this.#capacity)
    this.#table = new Uint32Array(this.#capacity * 2)
    const mask = this.#table.length - 1
    const width = this.#width
    const last = width - 1
    for (let row = 0; row < this.states; row++) {
      const at = row * width
      let hash = Math.imul((this.#rows[at + last] as number) + 1, 0x9e3779b1)
      for (let r = 0; r < last; r++) {
        hash = Math.imul(hash ^ ((this.#rows[at + r] as number) + 1), 0x85ebca6b)
        hash ^= hash >>> 15
      }
      let slot = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35) & mask
      while (this.#table[slot] !== 0) slot = (slot + 1) & mask
      this.#table[slot] = row + 1
    }
  }

  #pathTo(state: number): [number, number][] {
    const path: [number, number][] = []
    for (let at = state; at !== 0; at = this.#parents[at] as number) {
      const move = this.#moves[at] as number
      path.push([Math.floor(move / 0x10000), move % 0x10000])
      assert((this.#parents[at] as number) < at)
    }
    return path.reverse()
  }
}
