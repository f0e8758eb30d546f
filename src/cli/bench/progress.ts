// One line on standard error that says how a benchmark is doing: rewritten on a terminal, a new line now and then elsewhere.
import type { CliIo } from '../io.ts'
import { count } from '../render/table.ts'

const TERMINAL_MS = 500
const OTHERWISE_MS = 5000

export interface ProgressLine {
  stop(): void
}

export function showProgress(io: CliIo, messageSize: number, messages: () => number, durationMs: number): ProgressLine {
  const started = performance.now()
  let lastAt = started
  let last = messages()
  const timer = setInterval(
    () => {
      const now = performance.now()
      const total = messages()
      const rate = ((total - last) * 1000) / (now - lastAt)
      lastAt = now
      last = total
      const line = progressLine((now - started) / 1000, durationMs / 1000, total, rate, messageSize)
      io.err(io.errorIsTerminal ? `\r\x1b[K${line}` : `${line}\n`)
    },
    io.errorIsTerminal ? TERMINAL_MS : OTHERWISE_MS,
  )
  return {
    stop: () => {
      clearInterval(timer)
      if (io.errorIsTerminal) io.err('\r\x1b[K')
    },
  }
}

export function progressLine(
  seconds: number,
  ofSeconds: number,
  messages: number,
  rate: number,
  messageSize: number,
): string {
  const until = Number.isFinite(ofSeconds) ? ` of ${ofSeconds.toFixed(0)}` : ''
  return `${seconds.toFixed(0)}${until} s  ${count(messages)} messages  ${count(rate)}/s  ${((rate * messageSize) / 1e6).toFixed(1)} MB/s`
}
