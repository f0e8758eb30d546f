// The checkers' verdict, always on screen, with what it rests on.
import type { Snapshot } from '../../../simulator/stage/snapshot.ts'
import type { Check } from './player.ts'
import { seconds } from './words.ts'

export function VerdictPanel({
  shot,
  check,
  onCheck,
}: {
  readonly shot: Snapshot
  readonly check: Check
  readonly onCheck: () => void
}) {
  const { verdict, standstill } = shot
  const held = verdict.outcome === 'held'
  return (
    <section class={`panel verdict ${held ? 'held' : 'broken'}`} aria-label="Verdict">
      <div class="row">
        <span class={`badge ${held ? 'good' : 'bad'}`} role="status">
          {held
            ? 'Everything held so far'
            : verdict.outcome === 'violated'
              ? 'A promise was broken'
              : 'The code failed'}
        </span>
        <span class={`badge ${standstill === null ? '' : 'warn'}`}>
          {standstill === null ? 'accepts requests' : 'accepts nothing now'}
        </span>
      </div>
      <div class="figures">
        <Figure value={shot.acknowledged} name="acknowledged" />
        <Figure value={shot.verified} name="batches read back" />
        <Figure value={shot.committed} name="ops committed" />
        <Figure value={shot.events} name="events" />
        <Figure value={shot.hash} name="hash of the run" mono />
      </div>
      <div class="row final">
        <button
          type="button"
          onClick={onCheck}
          disabled={check.state === 'checking'}
          title="Heals a copy of this run and compares the replicas’ files; this run goes on as it is"
        >
          Final check
        </button>
        <p class="soft result" role="status">
          {held ? checkText(check) : verdict.what}
        </p>
      </div>
    </section>
  )
}

function Figure({
  value,
  name,
  mono = false,
}: {
  readonly value: string | number
  readonly name: string
  readonly mono?: boolean
}) {
  return (
    <div class="figure">
      <b class={mono ? 'mono' : ''}>
        <output aria-label={name}>{value}</output>
      </b>
      <span>{name}</span>
    </div>
  )
}

function checkText(check: Check): string {
  switch (check.state) {
    case 'none':
      return 'Heals a copy of this run, lets it come to rest, and compares all replicas byte for byte.'
    case 'checking':
      return 'Computing a copy …'
    case 'checked': {
      const { outcome, what, acknowledged, batches, micros } = check.judgement
      const of = `The copy of ${seconds(check.at)}`
      if (outcome === 'held')
        return `${of} came to rest ${seconds(micros)} after it was healed: the replicas’ files are equal, byte for byte, and hold all ${acknowledged} acknowledged requests; ${batches} batches were read back from each.`
      return outcome === 'violated' ? `${of} broke a promise: ${what}.` : `${of} is not done: ${what}.`
    }
  }
}
