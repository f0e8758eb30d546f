// What came of a soak, and whether the memory of the nodes stayed within its bounds.
import { type Context, type Finding, GROUPS } from './context.ts'
import type { Memory } from './memory.ts'
import type { Standstill } from './standstill.ts'

/** What warm nodes hold late in the run, of what they held early: noise is below. */
const GROWTH_MAX = 1.3
const PEAK_MAX_MIB = 768
const MIB = 2 ** 20

export interface SoakResult {
  readonly held: boolean
  readonly interrupted: boolean
  readonly seed: number
  readonly seconds: number
  readonly kills: number
  readonly load: Readonly<Record<string, number>>
  /** Messages in the log, and times that a message came to a group once more. */
  readonly messages: number
  readonly repeated: number
  readonly slowestAnswer: { readonly ms: number; readonly what: string }
  readonly longestStandstill: { readonly ms: number; readonly what: string }
  readonly memory: {
    readonly peakMiB: number
    readonly earlyMiB: number | null
    readonly lateMiB: number | null
    /** Of each node that went on in the calm: what it held at least, in the second and in the last third of it. */
    readonly calmMiB: readonly (readonly [number, number])[]
  }
  readonly findings: readonly { readonly kind: string; readonly what: string }[]
}

export interface Evidence {
  readonly seed: number
  readonly interrupted: boolean
  readonly seconds: number
  readonly kills: number
  readonly messages: number
  readonly context: Context
  readonly memory: Memory
  readonly standstill: Standstill
  /** ms: the kills began, ended, and the calm ended. */
  readonly times: { readonly begun: number; readonly killed: number; readonly calm: number }
}

export function judge({ context, memory, standstill, times, ...facts }: Evidence): SoakResult {
  const { anomalies, findings, counters, requests, groups } = context
  const thirds = memory.thirds(times.begun, times.killed)
  const floors = memory.floors(times.killed, times.calm)
  const peakMiB = Math.round(memory.peak / MIB)
  const all = [...anomalies.list, ...findings, ...tooMuch(peakMiB, thirds, floors)]
  const histories = GROUPS.flatMap((group) => groups[group])
  return {
    held: all.length === 0 && !facts.interrupted,
    ...facts,
    load: Object.fromEntries(Object.entries(counters)),
    repeated: histories.reduce((sum, history) => sum + history.repeated, 0),
    slowestAnswer: { ms: Math.round(requests.slowestMs), what: requests.slowest },
    longestStandstill: { ms: Math.round(standstill.longestMs), what: standstill.longest },
    memory: {
      peakMiB,
      earlyMiB: thirds === null ? null : Math.round(thirds.early),
      lateMiB: thirds === null ? null : Math.round(thirds.late),
      calmMiB: floors.map(({ early, late }) => [Math.round(early), Math.round(late)]),
    },
    findings: all,
  }
}

interface Held {
  readonly early: number
  readonly late: number
}

function tooMuch(peakMiB: number, thirds: Held | null, floors: readonly Held[]): Finding[] {
  const found: Finding[] = []
  const add = (what: string): number => found.push({ kind: 'memory', what })
  if (peakMiB > PEAK_MAX_MIB) add(`a node held ${peakMiB} MiB`)
  const grown = (when: string, { early, late }: Held): void => {
    if (late > early * GROWTH_MAX) add(`${when} held ${Math.round(early)} MiB early, ${Math.round(late)} MiB late`)
  }
  if (thirds !== null) grown('warm nodes', thirds)
  for (const held of floors) grown('in the calm a node', held)
  return found
}
