// What happened, in sentences, newest first.
import { useState } from 'preact/hooks'
import type { Sentence, Topic } from '../../../simulator/stage/narrator.ts'
import { TOPIC_WORDS } from './words.ts'

const SHOWN_MAX = 120
/** Always told. */
const ALWAYS: readonly Topic[] = ['story', 'verdict']

export function EventLog({ sentences }: { readonly sentences: readonly Sentence[] }) {
  const [hidden, hide] = useState<ReadonlySet<Topic>>(new Set<Topic>(['checkpoint']))
  const shown = sentences.filter(({ topic }) => ALWAYS.includes(topic) || !hidden.has(topic)).slice(-SHOWN_MAX)
  const toggle = (topic: Topic): void => {
    const next = new Set(hidden)
    if (!next.delete(topic)) next.add(topic)
    hide(next)
  }
  return (
    <section class="panel log" aria-labelledby="log">
      <h2 id="log">What happens</h2>
      <div class="row topics" role="group" aria-label="Show">
        {TOPIC_WORDS.map(([topic, word]) => (
          <button
            type="button"
            key={topic}
            class={`topic ${topic}`}
            aria-pressed={!hidden.has(topic)}
            onClick={() => toggle(topic)}
          >
            {word}
          </button>
        ))}
      </div>
      {/* Focusable, so that it scrolls by keyboard. */}
      <ol tabIndex={0} aria-label="Events, newest first" reversed>
        {shown.toReversed().map(({ id, at, topic, text }) => (
          <li key={id} class={topic}>
            <time>{(at / 1e6).toFixed(3)}</time>
            <span>{text}</span>
          </li>
        ))}
      </ol>
    </section>
  )
}
