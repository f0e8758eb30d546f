// galgo bench: produce, consume, latency.
import { Command } from 'commander'
import type { CommandContext } from '../program.ts'

export function benchCommand(_context: CommandContext): Command {
  return new Command('bench').description('measure throughput and latency')
}
