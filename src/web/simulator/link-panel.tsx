// Every link between two replicas, to cut and to mend, one way or both.
import type { Snapshot } from '../../../simulator/stage/snapshot.ts'
import type { Hands } from './replica-card.tsx'

export function LinkPanel({ shot, act }: Pick<Hands, 'act'> & { readonly shot: Snapshot }) {
  const count = shot.replicas.length
  const cut = new Set(shot.cuts.map(([from, to]) => `${from}>${to}`))
  const set = (from: number, to: number, cutIt: boolean): void => {
    if (cut.has(`${from}>${to}`) !== cutIt) act({ verb: cutIt ? 'cut' : 'mend', from, to })
  }
  const pairs: [number, number][] = []
  for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) pairs.push([a, b])
  const way = (from: number, to: number, arrow: string) => {
    const isCut = cut.has(`${from}>${to}`)
    return (
      <button
        type="button"
        class="danger"
        aria-pressed={isCut}
        aria-label={`Cut from replica ${from} to replica ${to}`}
        title={`${isCut ? 'Mend' : 'Cut'} what goes from replica ${from} to replica ${to}`}
        onClick={() => set(from, to, !isCut)}
      >
        {arrow}
      </button>
    )
  }
  return (
    <section class="panel links" aria-labelledby="links">
      <h2 id="links">Cut links</h2>
      <div class="pairs">
        {pairs.map(([a, b]) => {
          const both = cut.has(`${a}>${b}`) && cut.has(`${b}>${a}`)
          return (
            <div class="row pair" key={`${a}${b}`}>
              <span class="ends">
                {a} – {b}
              </span>
              <span class="choice">
                {way(a, b, `${a}→${b}`)}
                {way(b, a, `${b}→${a}`)}
                <button
                  type="button"
                  class="danger"
                  aria-pressed={both}
                  aria-label={`Cut between replicas ${a} and ${b}, both ways`}
                  title={`${both ? 'Mend' : 'Cut'} both ways`}
                  onClick={() => {
                    set(a, b, !both)
                    set(b, a, !both)
                  }}
                >
                  both
                </button>
              </span>
            </div>
          )
        })}
      </div>
    </section>
  )
}
