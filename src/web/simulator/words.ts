// Words for what the picture shows.
import type { CellState } from '../../../simulator/stage/cells.ts'
import type { FlightKind } from '../../../simulator/stage/flights.ts'
import type { Topic } from '../../../simulator/stage/narrator.ts'
import type { Role } from '../../../simulator/stage/snapshot.ts'

export const ROLE_WORDS: Readonly<Record<Role, string>> = {
  primary: 'primary',
  backup: 'backup',
  voting: 'voting',
  recovering: 'recovering',
  starting: 'starting',
  down: 'down',
  paused: 'paused',
}

export const CELL_WORDS: Readonly<Record<CellState, string>> = {
  empty: 'empty',
  dirty: 'being written',
  clean: 'on disk, not committed',
  committed: 'committed',
  old: 'in a checkpoint',
  faulty: 'damaged',
}

export function cellWord(slot: number, op: number, state: CellState, rotten: boolean): string {
  const what = op === 0 ? '' : `op ${op}, `
  return `slot ${slot}: ${what}${CELL_WORDS[state]}${rotten ? '; bits have flipped on the disk' : ''}`
}

export const FRAME_WORDS: readonly (readonly [FlightKind, string])[] = [
  ['request', 'request'],
  ['reply', 'reply'],
  ['prepare', 'prepare: write this down'],
  ['ok', 'ok: it is on my disk'],
  ['commit', 'commit, heartbeat'],
  ['ping', 'ping'],
  ['vote', 'view change'],
  ['repair', 'repair'],
]

export const TOPIC_WORDS: readonly (readonly [Topic, string])[] = [
  ['deed', 'faults'],
  ['election', 'elections'],
  ['repair', 'repairs'],
  ['commit', 'commits'],
  ['checkpoint', 'checkpoints'],
]

/** Simulated time. */
export function seconds(micros: number): string {
  return `${(micros / 1e6).toFixed(3)} s`
}

export function speedWord(speed: number): string {
  return speed >= 1 ? `${speed} ×` : `1/${Math.round(1 / speed)}`
}

export function bytesWord(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  if (bytes < 1000 * 1024) return `${(bytes / 1024).toFixed(0)} KiB`
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}
