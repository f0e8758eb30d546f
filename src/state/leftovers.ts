// Files that no state will ever name: what a transfer brought for a checkpoint that was given up for a later one, what the state
// before another replica's checkpoint had, when a kill came before it was removed, and what ops that were lost have made. They are
// looked for on the disk, and go, one directory and one file at a time.
//
// Directories carry the op that made them, and segments their first offset: what came after the state is not touched, nor is
// anything whose name is of another form. What the state does not name and is older is never made again, so it may go at any time.
import type { Disk, DiskResult } from '../../storage/disk.ts'
import { type StreamEntry, streamDirectory, topicDirectory } from './catalog.ts'

/** A directory of the state: the directory in it that has the next ones, or the files of a partition. */
type Place = { readonly below: string } | { readonly files: ReadonlySet<string>; readonly nextOffset: number }

const NUMBERED = /^\d+\.(\d+)$/
const SEGMENT_FILE = /^(\d{20})\.(?:log|index)$/

export class Leftovers {
  readonly #disk: Disk
  readonly #op: number
  readonly #places = new Map<string, Place>()
  readonly #dropped: ReadonlySet<string>
  readonly #onRemoved: (name: string, result: DiskResult) => void
  readonly #done: () => void
  /** Directories to look into. */
  readonly #ahead = ['streams']

  /** `streams`: the state at `op`, as it is now; `dropped`: what goes with a later checkpoint, or goes already. */
  constructor(
    disk: Disk,
    op: number,
    streams: readonly StreamEntry[],
    dropped: ReadonlySet<string>,
    onRemoved: (name: string, result: DiskResult) => void,
    done: () => void,
  ) {
    this.#disk = disk
    this.#op = op
    this.#dropped = dropped
    this.#onRemoved = onRemoved
    this.#done = done
    for (const stream of streams) {
      this.#places.set(streamDirectory(stream), { below: 'topics' })
      for (const topic of stream.topics) {
        this.#places.set(topicDirectory(stream, topic), { below: 'partitions' })
        for (const { log } of topic.partitions) {
          const files = new Set(log.files().flatMap(({ name, indexName }) => [name, indexName]))
          this.#places.set(log.directory, { files, nextOffset: log.nextOffset })
        }
      }
    }
  }

  start(): void {
    this.#next()
  }

  #next(): void {
    const directory = this.#ahead.pop()
    if (directory === undefined) return this.#done()
    const place = this.#places.get(directory)
    this.#disk.list(directory, (names) => {
      if (place !== undefined && 'files' in place) {
        const { files, nextOffset } = place
        const isOld = (name: string): boolean => Number(SEGMENT_FILE.exec(name)?.[1] ?? nextOffset) < nextOffset
        return this.#remove(
          names
            .filter(isOld)
            .map(within(directory))
            .filter((name) => !files.has(name)),
        )
      }
      const isOld = (name: string): boolean => Number(NUMBERED.exec(name)?.[1] ?? Number.POSITIVE_INFINITY) <= this.#op
      const old: string[] = []
      for (const path of names.filter(isOld).map(within(directory))) {
        const known = this.#places.get(path)
        if (known === undefined) old.push(path)
        else this.#ahead.push('below' in known ? `${path}/${known.below}` : path)
      }
      this.#remove(old)
    })
  }

  #remove(names: readonly string[]): void {
    const left = names.filter((name) => !this.#dropped.has(name))
    const step = (i: number): void => {
      const name = left[i]
      if (name === undefined) return this.#next()
      this.#disk.remove(name, (result) => {
        this.#onRemoved(name, result)
        step(i + 1)
      })
    }
    step(0)
  }
}

function within(directory: string): (name: string) => string {
  return (name) => `${directory}/${name}`
}
