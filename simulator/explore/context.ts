// What a state of the cluster is, apart from its replicas: what was committed so far, and what of the scope is used up.
import type { Scope } from './cluster.ts'
import type { Event } from './events.ts'
import type { Step } from './local.ts'

export interface Fault {
  readonly checker: string
  readonly what: string
}

interface Facts {
  /** By op - 1: the prepare and the lowest view in which it was executed. */
  readonly committed: readonly { readonly id: number; readonly view: number }[]
  readonly operations: number
  readonly timeouts: number
  readonly crashes: number
  readonly corruptions: number
  /** `slot replica` of what was corrupted. */
  readonly damaged: readonly string[]
}

/** Equal ones are the same object. */
export interface Context extends Facts {
  readonly id: number
  /** By what is used up next. */
  readonly after: Map<string, Context | null>
  readonly committing: Map<Step, Context>
}

export class Contexts {
  readonly #scope: Scope
  readonly #invariants: ReadonlySet<string>
  readonly #byKey = new Map<string, Context>()
  readonly all: Context[] = []
  readonly first: Context

  constructor(scope: Scope) {
    this.#scope = scope
    this.#invariants = new Set(scope.invariants)
    this.first = this.#of({ committed: [], operations: 0, timeouts: 0, crashes: 0, corruptions: 0, damaged: [] })
  }

  #of(parts: Facts): Context {
    const { committed, operations, timeouts, crashes, corruptions, damaged } = parts
    const own = { committed, operations, timeouts, crashes, corruptions, damaged }
    const key = JSON.stringify(own)
    let context = this.#byKey.get(key)
    if (context === undefined) {
      context = { id: this.all.length, ...own, after: new Map(), committing: new Map() }
      this.all.push(context)
      this.#byKey.set(key, context)
    }
    return context
  }

  /** What is left after this move; null when the scope does not allow it. */
  spend(context: Context, replica: number, event: Event): Context | null {
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

  #without(context: Context, kind: 'submit' | 'timeout' | 'crash' | 'corrupt', copy: string): Context | null {
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
    return this.#of({ ...context, damaged, [name]: context[name] + 1 })
  }

  /** Does this step break a promise, after all that was committed before? */
  fault(context: Context, step: Step): Fault | null {
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
      const known = context.committed[op - 1] as Facts['committed'][number]
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

  commit(context: Context, step: Step): Context {
    if (step.executed.length === 0) return context
    let after = context.committing.get(step)
    if (after === undefined) {
      const committed = [...context.committed]
      for (const { op, id, logView } of step.executed) {
        const known = committed[op - 1]
        committed[op - 1] = { id, view: known === undefined ? logView : Math.min(known.view, logView) }
      }
      after = this.#of({ ...context, committed })
      context.committing.set(step, after)
    }
    return after
  }
}
