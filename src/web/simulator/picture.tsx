// The picture: replicas with their journals as rings, links, clients, and frames on their way.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Flight, FlightKind } from '../../../simulator/stage/flights.ts'
import type { ReplicaPicture, Snapshot } from '../../../simulator/stage/snapshot.ts'
import { type Arrangement, arrange, bendPoint, edgeShare, onTheWay, type Point, ringPiece } from './geometry.ts'
import { cellWord, ROLE_WORDS } from './words.ts'

const NARROW = 560
const BEND = 14

export function Picture({ shot, time }: { readonly shot: Snapshot; readonly time: number }) {
  const frame = useRef<HTMLDivElement>(null)
  const [narrow, setNarrow] = useState(() => window.innerWidth < NARROW)
  useEffect(() => {
    if (frame.current === null) return
    const observer = new ResizeObserver(([entry]) => setNarrow((entry?.contentRect.width ?? 0) < NARROW))
    observer.observe(frame.current)
    return () => observer.disconnect()
  }, [])
  const count = shot.replicas.length
  const place = useMemo(() => arrange(count, shot.clients.length, narrow), [count, shot.clients.length, narrow])
  const slots = shot.replicas[0]?.cells.length ?? 0
  const rings = useMemo(
    () =>
      place.replicas.map((at) =>
        Array.from({ length: slots }, (_, slot) =>
          ringPiece(at, place.inner, place.outer, (slot + 0.06) / slots, (slot + 0.94) / slots),
        ),
      ),
    [place, slots],
  )
  return (
    <div class="picture panel" ref={frame}>
      <svg viewBox={`0 0 ${place.width} ${place.height}`} role="img" aria-label={describe(shot)}>
        <Links place={place} cuts={shot.cuts} />
        {shot.replicas.map((replica) => (
          <ReplicaNode
            key={replica.index}
            place={place}
            ring={rings[replica.index] ?? []}
            replica={replica}
            narrow={narrow}
          />
        ))}
        {shot.clients.map(({ index, answered, waiting }) => {
          const at = place.clients[index] as Point
          return (
            <g key={index} class="client" transform={`translate(${at.x} ${at.y})`}>
              <rect x={-38} y={-24} width={76} height={48} rx={9} />
              <text y={-5}>client {index}</text>
              <text y={12} class="small">
                {answered} done{waiting > 0 ? `, ${waiting}…` : ''}
              </text>
            </g>
          )
        })}
        <Frames place={place} flights={shot.flights} cuts={shot.cuts} time={time} narrow={narrow} />
      </svg>
    </div>
  )
}

function describe({ replicas }: Snapshot): string {
  const parts = replicas.map(({ index, role, view, op, commit }) =>
    role === 'down'
      ? `replica ${index} is down`
      : `replica ${index}: ${ROLE_WORDS[role]}, view ${view}, op ${op}, committed ${commit}`,
  )
  return `The cluster. ${parts.join('; ')}.`
}

// ---- links and frames --------------------------------------------------------------------------------------------------

function Links({ place, cuts }: { readonly place: Arrangement; readonly cuts: Snapshot['cuts'] }) {
  const cut = new Set(cuts.map(([from, to]) => `${from}>${to}`))
  const links = []
  for (let from = 0; from < place.replicas.length; from++) {
    for (let to = 0; to < place.replicas.length; to++) {
      if (from === to) continue
      const [a, b] = [place.replicas[from] as Point, place.replicas[to] as Point]
      const middle = bendPoint(a, b, BEND)
      const broken = cut.has(`${from}>${to}`)
      const mark = onTheWay(a, b, 0.5, BEND)
      links.push(
        <g key={`${from}>${to}`} class={broken ? 'link cut' : 'link'}>
          <path d={`M${a.x} ${a.y}Q${middle.x} ${middle.y} ${b.x} ${b.y}`} />
          {broken && <path class="mark" d={`M${mark.x - 5} ${mark.y - 5}l10 10m0 -10l-10 10`} />}
        </g>,
      )
    }
  }
  return <g>{links}</g>
}

const RADII: Readonly<Record<FlightKind, number>> = {
  request: 5,
  reply: 5,
  prepare: 6.5,
  ok: 5,
  commit: 3.5,
  ping: 2.5,
  vote: 7,
  repair: 5.5,
}
const LABELLED: ReadonlySet<FlightKind> = new Set<FlightKind>(['prepare', 'ok', 'vote', 'repair'])

interface FramesProps {
  readonly place: Arrangement
  readonly flights: readonly Flight[]
  readonly cuts: Snapshot['cuts']
  readonly time: number
  readonly narrow: boolean
}

function Frames({ place, flights, cuts, time, narrow }: FramesProps) {
  const points = [...place.replicas, ...place.clients]
  const count = place.replicas.length
  const labels = flights.filter((flight) => LABELLED.has(flight.kind)).length <= (narrow ? 8 : 16)
  const cut = new Set(cuts.map(([from, to]) => `${from}>${to}`))
  return (
    <g>
      {flights.map(({ id, kind, label, from, to, leaves, arrives, lost }) => {
        const [a, b] = [points[from], points[to]]
        if (a === undefined || b === undefined) return null
        const between = from < count && to < count
        const radius = (index: number): number => (index < count ? place.outer : 26)
        const [start, end] = [edgeShare(a, b, radius(from)), 1 - edgeShare(b, a, radius(to))]
        const passed = Math.min(1, Math.max(0, (time - leaves) / Math.max(1, arrives - leaves)))
        const broken = lost || cut.has(`${from}>${to}`)
        const share = start + (broken ? Math.min(passed, 0.5) : passed) * (end - start)
        const { x, y } = onTheWay(a, b, share, between ? BEND : 0)
        const fade = lost ? Math.max(0, 1 - passed) : broken ? 0.35 : 1
        return (
          <g key={id} class={`frame ${kind}${broken ? ' broken' : ''}`} opacity={fade}>
            <circle cx={x} cy={y} r={RADII[kind]} />
            {labels && LABELLED.has(kind) && (
              <text x={x} y={y - RADII[kind] - 4}>
                {label}
              </text>
            )}
          </g>
        )
      })}
    </g>
  )
}

// ---- replicas ----------------------------------------------------------------------------------------------------------

interface NodeProps {
  readonly place: Arrangement
  /** Paths of its cells. */
  readonly ring: readonly string[]
  readonly replica: ReplicaPicture
  readonly narrow: boolean
}

function ReplicaNode({ place, ring, replica, narrow }: NodeProps) {
  const { index, role, view, op, commit, cells } = replica
  const at = place.replicas[index] as Point
  const slim = place.outer < 70
  const down = role === 'down'
  return (
    <g class={`replica ${role}`}>
      <circle class="ground" cx={at.x} cy={at.y} r={place.outer + 3} />
      {cells.map(({ op: cellOp, state, rotten }, slot) => (
        <path key={slot} class={`cell ${state}${rotten ? ' rotten' : ''}`} d={ring[slot]}>
          <title>{cellWord(slot, cellOp, state, rotten)}</title>
        </path>
      ))}
      <circle class="core" cx={at.x} cy={at.y} r={place.inner - 3} />
      <text class="name" x={at.x} y={at.y - (slim ? 12 : 18)}>
        {index}
      </text>
      <text class="role" x={at.x} y={at.y + (slim ? 4 : 3)}>
        {ROLE_WORDS[role]}
      </text>
      <text class="state" x={at.x} y={at.y + (slim ? 18 : 20)}>
        {down ? '' : `view ${view}`}
      </text>
      <text class="state" x={at.x} y={at.y + (slim ? 30 : 35)}>
        {down ? '' : narrow || slim ? `${commit}/${op}` : `op ${commit}/${op}`}
      </text>
    </g>
  )
}
