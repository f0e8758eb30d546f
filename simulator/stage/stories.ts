// Guided stories: prepared sequences of deeds, each done when the run has come to the point for it, with what is to be seen.
import { assert } from '../../src/protocol/assert.ts'
import type { Stage } from './stage.ts'

export interface Beat {
  /** What happens now, for whoever watches. */
  readonly say: string
  /** The next beat begins when this is reached. */
  readonly until: () => boolean
  /** Simulated time per real time at which this is best watched. */
  readonly speed: number
}

export interface Story {
  readonly id: string
  readonly title: string
  /** In one sentence. */
  readonly about: string
  readonly replicas: number
  readonly tell: (stage: Stage) => Generator<Beat, string>
}

/** A beat that takes longer than this does not come to its end. */
const BEAT_MICROS_MAX = 30_000_000
const SLOW = 1 / 40
const WALK = 1 / 20
const QUICK = 1 / 5

export type StoryState = 'running' | 'finished' | 'failed'

export class StoryRun {
  readonly story: Story
  readonly #stage: Stage
  readonly #beats: Generator<Beat, string>
  #began = 0
  beat: Beat | null = null
  /** Beats so far, the present one included. */
  number = 0
  state: StoryState = 'running'
  /** What is to be read now. */
  text = ''

  constructor(story: Story, stage: Stage) {
    this.story = story
    this.#stage = stage
    this.#beats = story.tell(stage)
    stage.onInstant = () => this.#look()
    this.#next()
  }

  stop(): void {
    if (this.state === 'running') this.state = 'failed'
    this.#stage.onInstant = () => {}
  }

  #look(): void {
    if (this.beat === null || this.state !== 'running') return
    if (this.beat.until()) return this.#next()
    if (this.#stage.now - this.#began <= BEAT_MICROS_MAX) return
    this.stop()
    this.text = 'What the story waits for did not come to pass.'
  }

  #next(): void {
    const { done, value } = this.#beats.next()
    this.#began = this.#stage.now
    if (done === true) {
      this.beat = null
      this.state = 'finished'
      this.text = value
      this.stop()
    } else {
      this.beat = value
      this.number += 1
      this.text = value.say
    }
    this.#stage.narrator.say('story', this.text)
  }
}

function after(stage: Stage, ms: number): () => boolean {
  const at = stage.now + ms * 1000
  return () => stage.now >= at
}

function acknowledged(stage: Stage, more: number): () => boolean {
  const count = stage.world.acknowledged.count + more
  return () => stage.world.acknowledged.count >= count
}

function primaryOf(stage: Stage): number {
  const primary = stage.world.primary()
  assert(primary !== null, 'the story has no primary')
  return primary.index
}

function other(stage: Stage, than: number): number {
  return (than + 1) % stage.replicas
}

/** Running, in the primary's view, with all that is committed. */
function caughtUp(stage: Stage, index: number): () => boolean {
  const committed = stage.world.history.length
  return () => {
    const { replica, opened } = stage.node(index)
    const view = stage.world.primary()?.replica?.view
    return opened && replica?.status === 'normal' && replica.view === view && replica.commitMin >= committed
  }
}

function* atWork(stage: Stage, say: string): Generator<Beat> {
  yield { say, until: () => stage.world.primary() !== null && stage.world.acknowledged.count >= 6, speed: WALK }
}

const killThePrimary: Story = {
  id: 'kill-the-primary',
  title: 'Kill the primary',
  about: 'A process dies; another one leads, and nobody loses anything.',
  replicas: 3,
  *tell(stage) {
    yield* atWork(
      stage,
      'Clients send requests to the primary. It gives each a number, and the backups write it down too: with two of three disks it is committed.',
    )
    const old = primaryOf(stage)
    stage.act({ verb: 'crash', replica: old })
    yield {
      say: `The process of replica ${old}, the primary, is killed. The others see its connections close, and vote.`,
      until: () => stage.world.primary() !== null,
      speed: SLOW,
    }
    yield {
      say: `Replica ${primaryOf(stage)} leads the next view. The clients send again what was not answered; a request that was already done gets its first answer.`,
      until: acknowledged(stage, 8),
      speed: WALK,
    }
    stage.act({ verb: 'restart', replica: old })
    yield {
      say: `Replica ${old} is started again. It reads its journal, hears of the new view, and asks for what it missed.`,
      until: caughtUp(stage, old),
      speed: SLOW,
    }
    return `Replica ${old} has everything again and follows. Nothing acknowledged was lost, doubled or reordered.`
  },
}

const corruptASlot: Story = {
  id: 'corrupt-a-slot',
  title: 'Corrupt a committed slot',
  about: 'Bits flip in a committed op on one disk; the replica gets it back from the others.',
  replicas: 3,
  *tell(stage) {
    yield* atWork(stage, 'Each small cell is a slot of a replica’s journal on disk. Filled ones are committed.')
    const victim = other(stage, primaryOf(stage))
    const node = stage.node(victim)
    const fresh = (): boolean => (node.replica?.commitMin ?? 0) >= (node.replica?.checkpointOp ?? 0) + 4
    yield { say: 'A few more ops, so that there is something to lose.', until: fresh, speed: WALK }
    const op = (node.replica?.commitMin ?? 0) - 1
    const slot = op % node.geometry.journalSlots
    stage.act({ verb: 'rot-slot', replica: victim, slot })
    yield {
      say: `Bits of op ${op} flip on the disk of replica ${victim}. Nobody notices: what is committed is read again only at a start.`,
      until: after(stage, 60),
      speed: SLOW,
    }
    stage.act({ verb: 'crash', replica: victim })
    stage.act({ verb: 'restart', replica: victim })
    yield {
      say: `Replica ${victim} is restarted and reads its journal. The checksum of op ${op} is wrong.`,
      until: () => node.opened,
      speed: SLOW,
    }
    yield {
      say: `The slot counts as damaged, never as empty: perhaps op ${op} was acknowledged. The replica asks the others for exactly this op, by its checksum.`,
      until: () => stage.damage.of(node).length === 0 && caughtUp(stage, victim)(),
      speed: SLOW,
    }
    return `Op ${op} is on the disk of replica ${victim} again, byte for byte what it was.`
  },
}

const powerCut: Story = {
  id: 'power-cut',
  title: 'Power cut of all three',
  about: 'All machines go dark at once; everything acknowledged is there when they come back.',
  replicas: 3,
  *tell(stage) {
    yield* atWork(stage, 'Acknowledged means: on disk, synced, on a majority. So it can be promised even if …')
    yield { say: 'A few more acknowledgements.', until: acknowledged(stage, 6), speed: WALK }
    const promised = stage.world.acknowledged.highestOp
    for (const { index } of stage.world.nodes) stage.act({ verb: 'power', replica: index })
    yield {
      say: `… all three machines lose power at this moment. What was not synced may be lost, or torn. Up to op ${promised} was acknowledged.`,
      until: after(stage, 120),
      speed: WALK,
    }
    for (const { index } of stage.world.nodes) stage.act({ verb: 'restart', replica: index })
    yield {
      say: 'Power is back. Every replica reads its disk, and they agree which log is the right one: no one of them decides that alone.',
      until: () => stage.world.primary() !== null,
      speed: WALK,
    }
    yield {
      say: `Replica ${primaryOf(stage)} leads. Op ${promised} and all before it are there.`,
      until: () =>
        stage.world.nodes.every(({ replica }) => (replica?.commitMin ?? 0) > promised) && acknowledged(stage, 0)(),
      speed: WALK,
    }
    return `All three have executed op ${promised} and more: nothing acknowledged was lost.`
  },
}

const cutOneWay: Story = {
  id: 'cut-one-way',
  title: 'Cut one way',
  about: 'The primary hears everybody and nobody hears it.',
  replicas: 3,
  *tell(stage) {
    yield* atWork(stage, 'Links are cut in one direction more often than one would think.')
    const old = primaryOf(stage)
    for (const { index } of stage.world.nodes) if (index !== old) stage.act({ verb: 'cut', from: old, to: index })
    yield {
      say: `From now on nothing that replica ${old} sends arrives; it still hears the others. They miss its heartbeats.`,
      until: () => (stage.world.primary()?.index ?? old) !== old,
      speed: QUICK / 2,
    }
    yield {
      say: `Replica ${primaryOf(stage)} leads, with a majority. Replica ${old} heard the votes and left its view: there are never two that acknowledge.`,
      until: acknowledged(stage, 6),
      speed: WALK,
    }
    for (const { index } of stage.world.nodes) if (index !== old) stage.act({ verb: 'mend', from: old, to: index })
    yield { say: 'The links are whole again.', until: caughtUp(stage, old), speed: WALK }
    return `Replica ${old} follows the new primary and has what it missed.`
  },
}

const fallBehind: Story = {
  id: 'fall-behind',
  title: 'Fall too far behind',
  about: 'A replica misses more than the journals remember, and takes a checkpoint.',
  replicas: 3,
  *tell(stage) {
    yield* atWork(stage, 'A journal has 40 slots that are used again and again. Every 12 ops a checkpoint makes room.')
    const primary = primaryOf(stage)
    const late = other(stage, primary)
    stage.act({ verb: 'isolate', replica: late })
    const op = stage.node(late).replica?.commitMin ?? 0
    yield {
      say: `Replica ${late} is cut off. The others wait for it only so long; then they write over what it lacks, and the log moves on.`,
      until: () => (stage.world.primary()?.replica?.checkpointOp ?? 0) > op + stage.node(late).geometry.journalSlots,
      speed: QUICK,
    }
    stage.act({ verb: 'rejoin', replica: late })
    yield {
      say: `Replica ${late} is back. What it needs next is in nobody’s journal any more: it takes a checkpoint and the segments that it refers to, while the cluster goes on.`,
      until: () => (stage.node(late).replica?.transferredOp ?? 0) > 0 && caughtUp(stage, late)(),
      speed: WALK,
    }
    return `Replica ${late} has the checkpoint and its segments, has executed what came after it, and follows again.`
  },
}

export const STORIES: readonly Story[] = [killThePrimary, corruptASlot, powerCut, cutOneWay, fallBehind]
