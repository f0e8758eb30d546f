// How many of something, connections say, each host has, of so many that one may have.

export class HostCounter {
  readonly max: number
  readonly #hosts = new Map<string, number>()

  constructor(max: number) {
    this.max = max
  }

  /** False, and it does not count, when the host has as many as it may. */
  enter(host: string): boolean {
    const count = this.#hosts.get(host) ?? 0
    if (count >= this.max) return false
    this.#hosts.set(host, count + 1)
    return true
  }

  leave(host: string): void {
    const left = (this.#hosts.get(host) ?? 0) - 1
    if (left > 0) this.#hosts.set(host, left)
    else this.#hosts.delete(host)
  }
}
