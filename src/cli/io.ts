// What a command may touch of the world. `main.ts` gives it the process, tests give it buffers.

export interface CliIo {
  /** Standard output. A promise means "wait before writing more". */
  readonly out: (text: string | Uint8Array) => void | Promise<unknown>
  /** Standard error: progress, notes, errors. */
  readonly err: (text: string) => void
  readonly input: AsyncIterable<Uint8Array | string>
  readonly inputIsTerminal: boolean
  readonly outputIsTerminal: boolean
  readonly errorIsTerminal: boolean
  /** Width of the terminal, when there is one. */
  readonly columns: number | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Aborted by the first Ctrl-C. */
  readonly stop: AbortSignal
}
