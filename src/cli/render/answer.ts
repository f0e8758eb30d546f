// What a command answers: a JSON object, or text made of the same.
import type { FormatFlags } from '../flags.ts'
import type { CliIo } from '../io.ts'

export async function answer(io: CliIo, { format }: FormatFlags, row: unknown, text: string): Promise<undefined> {
  await io.out(format === 'json' ? `${JSON.stringify(row)}\n` : text)
  return undefined
}
