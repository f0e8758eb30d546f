// Time: play, steps, speed, and a line along which the run can be wound back.

import { describeDeed } from '../../../simulator/stage/narrator.ts'
import type { Recorded } from '../../../simulator/stage/recording.ts'
import type { Snapshot } from '../../../simulator/stage/snapshot.ts'
import { type Player, SPEEDS } from './player.ts'
import { seconds, speedWord } from './words.ts'

interface Props {
  readonly player: Player
  readonly shot: Snapshot
  readonly deeds: readonly Recorded[]
  readonly changed: () => void
}

export function Transport({ player, shot, deeds, changed }: Props) {
  const { farthest, playing, speedIndex, stage, travelling } = player
  const act = (what: () => void) => () => {
    what()
    changed()
  }
  return (
    <section class="panel transport" aria-label="Time">
      <div class="row">
        <button
          type="button"
          class="main play"
          disabled={stage.over}
          onClick={act(() => player.toggle())}
          title="Space"
        >
          {playing ? 'Pause' : 'Play'}
        </button>
        <button
          type="button"
          disabled={stage.over}
          onClick={act(() => player.stepEvent())}
          title="Key E: until the next event: a frame, a disk completion, a tick"
        >
          1 event
        </button>
        <button
          type="button"
          disabled={stage.over}
          onClick={act(() => player.stepFrame())}
          title="Key M: until the next message between replicas arrives"
        >
          1 message
        </button>
        <button
          type="button"
          onClick={act(() => player.seek(stage.now - 100_000))}
          title="Key B: a tenth of a simulated second"
        >
          Back
        </button>
        <p class="short" aria-hidden="true">
          <span class={`badge ${shot.verdict.outcome === 'held' ? 'good' : 'bad'}`}>
            {shot.verdict.outcome === 'held' ? 'held so far' : 'broken'}
          </span>
          <span class="soft">
            <b>{shot.acknowledged}</b> acknowledged, <b>{shot.verified}</b> read back
          </span>
        </p>
        <label class="row speed">
          <span class="soft">Speed</span>
          <input
            type="range"
            min={0}
            max={SPEEDS.length - 1}
            step={1}
            value={speedIndex}
            aria-valuetext={`${speedWord(player.speed)} of real time`}
            onInput={(event) => act(() => player.chooseSpeed(Number(event.currentTarget.value)))()}
          />
          <output class="mono">{speedWord(player.speed)}</output>
        </label>
      </div>
      <div class="line">
        <input
          type="range"
          min={0}
          max={Math.max(1, Math.ceil(farthest / 1000))}
          step={1}
          value={Math.floor(player.time / 1000)}
          aria-label="Moment of the run"
          aria-valuetext={seconds(player.time)}
          onInput={(event) => act(() => player.seek(Number(event.currentTarget.value) * 1000))()}
        />
        <svg class="marks" viewBox="0 0 1000 6" preserveAspectRatio="none" aria-hidden="true">
          {deeds.map(({ at, deed }, i) => (
            <rect key={i} x={(1000 * at) / Math.max(1, farthest) - 1} width={2} height={6}>
              <title>{`${seconds(at)}: ${describeDeed(deed)}`}</title>
            </rect>
          ))}
        </svg>
        <output class="mono moment" aria-label="Simulated time">
          {travelling === null ? seconds(player.time) : `${Math.round(100 * travelling)} %`}
        </output>
      </div>
    </section>
  )
}
