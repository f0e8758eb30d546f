// One replica in words and numbers, its journal slot by slot, and everything that can be done to it.
import { useState } from 'preact/hooks'
import type { Deed } from '../../../simulator/stage/recording.ts'
import type { ReplicaPicture } from '../../../simulator/stage/snapshot.ts'
import { bytesWord, cellWord, ROLE_WORDS } from './words.ts'

export interface Hands {
  readonly act: (deed: Deed) => void
  readonly may: (deed: Deed) => boolean
}

const BADGES: Readonly<Partial<Record<ReplicaPicture['role'], string>>> = {
  primary: 'main',
  backup: 'good',
  down: 'bad',
}

export function ReplicaCard({ replica, act, may }: Hands & { readonly replica: ReplicaPicture }) {
  const { index, role, view, op, commit, checkpoint, cells, messages, bytes, writing, bytesWritten, syncs, trouble } =
    replica
  const [chosen, choose] = useState<number | null>(null)
  const slot = chosen ?? newestCommitted(replica)
  const cell = cells[slot]
  const off = role === 'down' || role === 'starting'
  const deed = (label: string, what: Deed, title: string) => (
    <button type="button" disabled={!may(what)} title={title} onClick={() => act(what)}>
      {label}
    </button>
  )
  return (
    <section class={`card panel ${role}`} aria-labelledby={`replica-${index}`}>
      <div class="row head">
        <h3 id={`replica-${index}`}>Replica {index}</h3>
        <span class={`badge ${BADGES[role] ?? 'warn'}`}>{ROLE_WORDS[role]}</span>
        {replica.isolated && <span class="badge bad">isolated</span>}
      </div>
      <dl class="numbers">
        <Number name="view" value={off ? '–' : view} />
        <Number name="op" value={off ? '–' : op} />
        <Number name="committed" value={off ? '–' : commit} />
        <Number name="checkpoint" value={off ? '–' : checkpoint} />
        <Number name="messages" value={off ? '–' : messages} />
        <Number name="segments" value={off ? '–' : bytesWord(bytes)} />
        <Number name="disk writes" value={bytesWord(bytesWritten)} />
        <Number name="syncs" value={syncs} />
      </dl>
      <Journal replica={replica} slot={slot} choose={choose} />
      <p class="soft slot">{cell === undefined ? '' : cellWord(slot, cell.op, cell.state, cell.rotten)}</p>
      <div class="row deeds" role="group" aria-label={`Process of replica ${index}`}>
        {role === 'down'
          ? deed('Restart', { verb: 'restart', replica: index }, 'Start a process on this disk')
          : deed('Kill', { verb: 'crash', replica: index }, 'kill -9: the process ends, the machine runs on')}
        {deed('Cut power', { verb: 'power', replica: index }, 'The machine goes dark: what was not synced may be lost')}
        {deed('Pause', { verb: 'pause', replica: index }, 'The process stands still for a simulated second')}
        {replica.isolated
          ? deed('Rejoin', { verb: 'rejoin', replica: index }, 'Mend all links of this replica')
          : deed('Isolate', { verb: 'isolate', replica: index }, 'Cut all links of this replica, both ways')}
      </div>
      <div class="row deeds" role="group" aria-label={`Flip bits on the disk of replica ${index}`}>
        <span class="soft">Flip bits in</span>
        {deed(`slot ${slot}`, { verb: 'rot-slot', replica: index, slot }, 'The chosen journal slot; choose one above')}
        {deed(
          'segment',
          { verb: 'rot-segment', replica: index },
          'The last block of the largest segment in a checkpoint',
        )}
        {deed('checkpoint', { verb: 'rot-checkpoint', replica: index }, 'The newest checkpoint')}
        {deed('superblock', { verb: 'rot-superblock', replica: index }, 'One of the four copies of the superblock')}
      </div>
      <p class="trouble">
        {trouble.length === 0
          ? writing > 0
            ? `${writing} journal write${writing === 1 ? '' : 's'} under way`
            : ' '
          : trouble.join('; ')}
      </p>
    </section>
  )
}

function Number({ name, value }: { readonly name: string; readonly value: string | number }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  )
}

/** The slot of the newest op that is committed here and in no checkpoint: the one that it would hurt most to lose. */
function newestCommitted({ cells }: ReplicaPicture): number {
  let best = 0
  cells.forEach((cell, slot) => {
    const before = cells[best]
    if (cell.state === 'committed' && (before?.state !== 'committed' || cell.op > before.op)) best = slot
  })
  return best
}

interface JournalProps {
  readonly replica: ReplicaPicture
  readonly slot: number
  readonly choose: (slot: number) => void
}

/** One stop for the tab key; arrows move inside. */
function Journal({ replica, slot, choose }: JournalProps) {
  const { cells, index } = replica
  const move = (event: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 20, ArrowUp: -20 }[event.key]
    if (step === undefined) return
    event.preventDefault()
    const next = (slot + step + cells.length) % cells.length
    choose(next)
    const row = event.currentTarget as HTMLElement
    row.querySelectorAll('button')[next]?.focus()
  }
  return (
    <div class="journal" role="group" aria-label={`Journal of replica ${index}`} onKeyDown={move}>
      {cells.map(({ op, state, rotten }, i) => (
        <button
          type="button"
          key={i}
          class={`slot-cell ${state}${rotten ? ' rotten' : ''}`}
          tabIndex={i === slot ? 0 : -1}
          aria-pressed={i === slot}
          aria-label={cellWord(i, op, state, rotten)}
          title={cellWord(i, op, state, rotten)}
          onClick={() => choose(i)}
        />
      ))}
    </div>
  )
}
