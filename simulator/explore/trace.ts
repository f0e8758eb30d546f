// A way through the states, as sentences; and as text that leads there again.

import type { Fault } from './context.ts'
import type { Event, Stages } from './events.ts'
import { describe } from './frames.ts'
import type { Local } from './local.ts'
import type { Path, Search } from './search.ts'

/** `0.2,1.0`: replica 0 makes its move 2, replica 1 its move 0. */
export function pathText(path: Path): string {
  return path.map(([replica, move]) => `${replica}.${move}`).join()
}

/** Null when it is no path. */
export function parsePath(text: string): Path | null {
  const path = text.split(',').map((step) => /^(\d)\.(\d{1,4})$/.exec(step.trim()))
  if (path.includes(null)) return null
  return path.map((match) => [Number(match?.[1]), Number(match?.[2])])
}

/** The sentences, and what is broken at the end, if anything is; null when the path leaves the scope. */
export function retrace(search: Search, path: Path): { lines: string[]; fault: Fault | null } | null {
  let position = search.first
  const lines: string[] = []
  for (const [replica, m] of path) {
    const agent = position.agents[replica]
    const move = agent && search.cluster.moves(agent)[m]
    const made = move === undefined ? null : search.move(position, replica, m)
    if (move === undefined || made === null) return null
    const { next, violation } = move
    lines.push(`replica ${replica} ${sentence(move.event)}${violation === null ? `: ${stateOf(next)}` : ''}`)
    if (made.fault !== null) return { lines, fault: made.fault }
    position = made.next
  }
  return { lines, fault: null }
}

function sentence(event: Event): string {
  switch (event.kind) {
    case 'deliver': {
      const frames = event.frames.map((frame) => `${describe(frame)} from replica ${frame.from}`)
      return `receives ${frames.join(' and ')}`
    }
    case 'submit':
      return 'accepts a request'
    case 'timeout':
      return 'has waited too long and wishes for the next view'
    case 'tick':
      return 'goes on by itself'
    case 'write':
      return event.part === 'superblock'
        ? 'has its superblock on disk'
        : `has its prepare in journal slot ${event.slot} on disk`
    case 'crash':
      return `crashes and starts again${event.stages.map(found).join('')}`
    case 'corrupt':
      return `has its ${event.part} in journal slot ${event.slot} damaged on disk`
  }
}

function found([slot, stages, torn]: Stages): string {
  if (torn) return `, with half a prepare in slot ${slot}`
  return `, after ${stages} of the writes of slot ${slot}`
}

function stateOf({ replica, superblock }: Local): string {
  const { status, view, logView, op, commitMin } = replica
  const durable = superblock.state
  const pending =
    durable.view === view && durable.logView === logView ? '' : `, durable ${durable.view}/${durable.logView}`
  return `${status.replace('_', ' ')}, view ${view}, log_view ${logView}${pending}, op ${op}, committed ${commitMin}`
}
