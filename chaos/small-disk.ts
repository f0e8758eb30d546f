// A file system of its own for one node, which can be filled without anybody else noticing: an ext4 in a file, mounted
// through a loop device. It takes root and a kernel that lets one do this; where not, the run goes on without full disks.
import { execFileSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'

const BLOCK = 4096
const NOTICED_MS = 10_000

export class SmallDisk {
  /** The root of the file system. */
  readonly path: string
  readonly #image: string
  #mounted = true
  #full = false
  #files = 0
  #clearedAt = Number.NEGATIVE_INFINITY
  readonly #onExit = (): void => this.close()

  /** Answers why there is none, where there can be none. */
  static make(folder: string, size: number): SmallDisk | { readonly reason: string } {
    if (process.getuid?.() !== 0) return { reason: 'mounting a small disk takes root' }
    const image = join(folder, 'small-disk.ext4')
    const path = join(folder, 'small-disk')
    try {
      const fd = openSync(image, 'w')
      ftruncateSync(fd, size)
      closeSync(fd)
      mkdirSync(path, { recursive: true })
      // No blocks for root alone: a node that runs as root shall not find room that others would not.
      run('mkfs.ext4', ['-q', '-F', '-m', '0', image])
      run('mount', ['-o', 'loop', image, path])
    } catch (error) {
      rmSync(image, { force: true })
      return { reason: `no loop device could be mounted here (${lastLine(error)})` }
    }
    const disk = new SmallDisk(path, image)
    try {
      // One that takes no reservation would be called full with all its room left.
      run('fallocate', ['-l', `${BLOCK}`, disk.#filler(0)])
      rmSync(disk.#filler(0))
      return disk
    } catch (error) {
      disk.close()
      return { reason: `no room can be reserved here (${lastLine(error)})` }
    }
  }

  private constructor(path: string, image: string) {
    this.path = path
    this.#image = image
    // Whatever ends this process, apart from SIGKILL, unmounts.
    process.on('exit', this.#onExit)
  }

  /** Takes all the room that is left, by reserving it; answers the bytes that still are. */
  fill(): number {
    this.#full = true
    // What is reserved takes some room for itself, so the last of it goes in smaller and smaller pieces.
    for (let share = 1; share > 0.001; share /= 2) {
      const piece = Math.floor(this.#free() * share)
      if (piece < BLOCK) break
      try {
        this.#files += 1
        run('fallocate', ['-l', `${piece}`, this.#filler(this.#files)])
      } catch {
        // Too much: what it got is taken.
      }
    }
    return this.#free()
  }

  #filler(number: number): string {
    return join(this.path, `filler-${number}`)
  }

  #free(): number {
    const { bavail, bsize } = statfsSync(this.path)
    return bavail * bsize
  }

  get full(): boolean {
    return this.#full
  }

  /** It is, or was a moment ago: a write that failed then may be noticed only now. */
  wasFull(): boolean {
    return this.full || performance.now() - this.#clearedAt < NOTICED_MS
  }

  clear(): void {
    if (!this.#full) return
    this.#clearedAt = performance.now()
    for (; this.#files > 0; this.#files--) rmSync(this.#filler(this.#files), { force: true })
    this.#full = false
  }

  /** After the node has ended. Its files go with it. */
  close(): void {
    if (!this.#mounted) return
    this.#mounted = false
    process.off('exit', this.#onExit)
    try {
      run('umount', [this.path])
    } catch {
      // A process that is still ending holds it: it goes when that is gone.
      run('umount', ['--lazy', this.path])
    }
    rmSync(this.#image, { force: true })
  }

  /** Moves what is on it to where it was mounted, for whoever wants to look at it later. */
  keep(): void {
    const copy = `${this.path}.kept`
    this.clear()
    run('cp', ['-a', '--sparse=always', this.path, copy])
    this.close()
    run('rm', ['-rf', this.path])
    run('mv', [copy, this.path])
  }
}

function lastLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return (text.split('\n').at(-1) ?? text).trim()
}

function run(program: string, args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
