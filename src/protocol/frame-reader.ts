// Cuts a stream of bytes into frames. A frame's size is checked before anything is allocated for it.

import { u32At } from './bytes.ts'
import { At } from './frame.ts'
import { HEADER_SIZE } from './message.ts'

/** Largest reply that is taken: more than any cluster can be told to send. */
export const REPLY_SIZE_MAX = 65 * 1024 * 1024

export class FrameReader {
  readonly #header = new Uint8Array(HEADER_SIZE)
  #filled = 0
  #frame: Uint8Array | null = null
  readonly #onFrame: (frame: Uint8Array) => void

  /** `onFrame` owns the frame's bytes. */
  constructor(onFrame: (frame: Uint8Array) => void) {
    this.#onFrame = onFrame
  }

  /** False when a frame has an impossible size: the stream is of no use any more. */
  push(bytes: Uint8Array): boolean {
    let at = 0
    while (at < bytes.length) {
      if (this.#frame === null) {
        const part = Math.min(HEADER_SIZE - this.#filled, bytes.length - at)
        this.#header.set(bytes.subarray(at, at + part), this.#filled)
        this.#filled += part
        at += part
        if (this.#filled < HEADER_SIZE) return true
        const size = u32At(this.#header, At.size)
        if (size < HEADER_SIZE || size > REPLY_SIZE_MAX) return false
        this.#frame = new Uint8Array(size)
        this.#frame.set(this.#header)
      }
      const frame = this.#frame
      const part = Math.min(frame.length - this.#filled, bytes.length - at)
      frame.set(bytes.subarray(at, at + part), this.#filled)
      this.#filled += part
      at += part
      if (this.#filled < frame.length) return true
      this.#frame = null
      this.#filled = 0
      this.#onFrame(frame)
    }
    return true
  }
}
