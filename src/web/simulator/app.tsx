// The page as a whole.
import type { ComponentChildren } from 'preact'
import { useEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks'
import { type Deed, REPLICA_COUNTS, SEED_END, writeRecipe } from '../../../simulator/stage/recording.ts'
import { type Snapshot, takeSnapshot } from '../../../simulator/stage/snapshot.ts'
import { STORIES } from '../../../simulator/stage/stories.ts'
import { EventLog } from './event-log.tsx'
import { LinkPanel } from './link-panel.tsx'
import { Picture } from './picture.tsx'
import type { Player } from './player.ts'
import { ReplicaCard } from './replica-card.tsx'
import { Transport } from './transport.tsx'
import { VerdictPanel } from './verdict.tsx'
import { CELL_WORDS, FRAME_WORDS } from './words.ts'

/** Numbers and lists change less often than the picture: they are read, not watched. */
const PANELS_MS = 120

interface Props {
  readonly player: Player
  readonly problem: string | null
  readonly freshSeed: () => number
}

export function App({ player, problem, freshSeed }: Props) {
  const { shot, still, changed } = useShots(player)
  const act = (deed: Deed): void => {
    player.act(deed)
    changed()
  }
  useKeys(player, changed)
  const { stage, story } = player
  const panels = useMemo(
    () => ({
      cards: (
        <div class={still.replicas.length === 5 ? 'cards five' : 'cards'}>
          {still.replicas.map((replica) => (
            <ReplicaCard
              key={replica.index}
              replica={replica}
              act={act}
              may={(deed) => !stage.over && stage.makesSense(deed)}
            />
          ))}
        </div>
      ),
      links: <LinkPanel shot={still} act={act} />,
      log: <EventLog sentences={stage.narrator.sentences} />,
      verdict: (
        <VerdictPanel
          shot={still}
          check={player.check}
          onCheck={() => {
            player.finalCheck()
            changed()
          }}
        />
      ),
    }),
    [still],
  )
  const said = story === null ? '' : story.text
  return (
    <main>
      <header>
        <div class="title">
          <h1>Galgo simulator</h1>
          <p class="intro">
            A whole cluster runs in this page: the code of a real node (consensus, journal, checkpoints, segments), on a
            network, disks and clocks that are made up. Clients keep writing. Break what you like: what was acknowledged
            must survive. The same address gives the same run, to the last bit.
          </p>
        </div>
        {panels.verdict}
      </header>
      {problem !== null && (
        <p class="panel problem" role="alert">
          {problem}
        </p>
      )}
      <section class="stories row" aria-label="Stories">
        {STORIES.map((entry) => (
          <button
            type="button"
            key={entry.id}
            title={entry.about}
            aria-pressed={story?.story.id === entry.id}
            onClick={() => {
              player.tell(entry)
              changed()
            }}
          >
            {entry.title}
          </button>
        ))}
        <button
          type="button"
          class="danger"
          aria-pressed={stage.faults.on}
          title="Crashes, power cuts, pauses, cut links and bit rot by chance, and a network that loses and doubles"
          onClick={() => act({ verb: 'faults', on: !stage.faults.on })}
        >
          Random faults
        </button>
      </section>
      <p class="panel caption" aria-live="polite">
        {said === ''
          ? (still.standstill ??
            'Choose a story, or do something to a replica below. The ring around each replica is its journal; filled cells are committed ops.')
          : said}
      </p>
      <div class="middle">
        <Picture shot={shot} time={player.time} />
        {panels.log}
      </div>
      <Transport player={player} shot={still} deeds={stage.recipe.deeds} changed={changed} />
      {panels.cards}
      <div class="below">
        {panels.links}
        <Run player={player} changed={changed} freshSeed={freshSeed} />
        <Legend />
      </div>
    </main>
  )
}

/** The run as it is now, for the picture in every frame and for the panels a few times a second. */
function useShots(player: Player): { shot: Snapshot; still: Snapshot; changed: () => void } {
  const [, draw] = useReducer((n: number) => n + 1, 0)
  const shots = useRef<{ shot: Snapshot; still: Snapshot } | null>(null)
  const renew = (all: boolean): void => {
    const shot = takeSnapshot(player.stage)
    shots.current = { shot, still: all || shots.current === null ? shot : shots.current.still }
    draw(0)
  }
  if (shots.current === null) {
    const shot = takeSnapshot(player.stage)
    shots.current = { shot, still: shot }
  }
  useEffect(() => {
    let stillAt = 0
    let active = true
    const frame = (now: number): void => {
      if (!active) return
      const before = player.playing || player.travelling !== null
      player.frame(now)
      const after = player.playing || player.travelling !== null
      const all = now - stillAt >= PANELS_MS || (before && !after)
      if (before) renew(all)
      if (all) stillAt = now
      requestAnimationFrame(frame)
    }
    requestAnimationFrame(frame)
    return () => {
      active = false
    }
  }, [player])
  return { ...shots.current, changed: () => renew(true) }
}

function useKeys(player: Player, changed: () => void): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return
      if (event.key === ' ' && target.tagName !== 'BUTTON') player.toggle()
      else if (event.key === 'e') player.stepEvent()
      else if (event.key === 'm') player.stepFrame()
      else if (event.key === 'b') player.seek(player.stage.now - 100_000)
      else return
      event.preventDefault()
      changed()
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  })
}

function Run({
  player,
  changed,
  freshSeed,
}: {
  readonly player: Player
  readonly changed: () => void
  readonly freshSeed: () => number
}) {
  const { stage } = player
  const [copied, setCopied] = useState('')
  const begin = (seed: number, replicas: number): void => {
    player.begin({ seed, replicas, deeds: [] })
    changed()
  }
  const copy = (moment: boolean): void => {
    const at = moment ? `&at=${stage.now}` : ''
    const link = `${location.href.split('#')[0]}#${writeRecipe(stage.recipe)}${at}`
    void copyText(link).then((done) => setCopied(done ? 'Copied.' : 'Not allowed here: copy the address bar.'))
  }
  return (
    <section class="panel run" aria-labelledby="run">
      <h2 id="run">This run</h2>
      <div class="row">
        <label class="row">
          <span class="soft">Seed</span>
          <input
            class="seed mono"
            inputMode="numeric"
            value={stage.seed}
            onChange={(event) => {
              const seed = Number(event.currentTarget.value)
              if (Number.isInteger(seed) && seed >= 0 && seed < SEED_END) begin(seed, stage.replicas)
              else event.currentTarget.value = String(stage.seed)
            }}
          />
        </label>
        <button type="button" onClick={() => begin(freshSeed(), stage.replicas)}>
          New seed
        </button>
        <button
          type="button"
          title="The same seed from its beginning, without what was done to it"
          onClick={() => begin(stage.seed, stage.replicas)}
        >
          Start anew
        </button>
        <span class="choice" role="group" aria-label="Replicas">
          {REPLICA_COUNTS.map((count) => (
            <button
              type="button"
              key={count}
              aria-pressed={stage.replicas === count}
              onClick={() => begin(stage.seed, count)}
            >
              {count} replicas
            </button>
          ))}
        </span>
      </div>
      <div class="row">
        <button type="button" title="Seed and everything that was done, from the beginning" onClick={() => copy(false)}>
          Copy link to this run
        </button>
        <button type="button" title="Opens paused, at this very moment" onClick={() => copy(true)}>
          … to this moment
        </button>
        <span class="soft" role="status">
          {copied}
        </span>
      </div>
      <p class="soft">Keys: space plays and pauses, E one event, M one message, B back.</p>
    </section>
  )
}

async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    // Not a secure context, or not permitted.
    return false
  }
}

function Legend() {
  return (
    <section class="panel legend" aria-labelledby="legend">
      <h2 id="legend">What the colours mean</h2>
      <ul>
        {FRAME_WORDS.map(([kind, word]) => (
          <Entry key={kind} word={word}>
            <circle class={`frame ${kind}`} cx={8} cy={8} r={5} />
          </Entry>
        ))}
      </ul>
      <ul>
        {Object.entries(CELL_WORDS).map(([state, word]) => (
          <Entry key={state} word={word}>
            <rect class={`cell ${state}`} x={2} y={2} width={12} height={12} rx={2} />
          </Entry>
        ))}
        <Entry word="flipped bits, not noticed">
          <rect class="cell committed rotten" x={2} y={2} width={12} height={12} rx={2} />
        </Entry>
      </ul>
    </section>
  )
}

function Entry({ word, children }: { readonly word: string; readonly children: ComponentChildren }) {
  return (
    <li>
      <svg width={16} height={16} aria-hidden="true">
        {children}
      </svg>
      {word}
    </li>
  )
}
