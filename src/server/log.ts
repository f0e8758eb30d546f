// Structured logs by pino, one JSON object a line: { time, level, node, code, ...fields }. Each thread has its own
// logger on the same file: appends of whole lines do not tear. How much is said of one thing is limited (log-limit.ts).
import { destination, pino } from 'pino'
import type { Log } from '../../consensus/ports.ts'
import type { NodeConfig } from './config.ts'
import { type LogLevel, LogLimit, type LogTimers, PERIOD_MS, systemTimers } from './log-limit.ts'
import type { LogRing } from './log-ring.ts'

/**
 * `code` names the event, in kebab-case, once and for all; everything that varies is in the fields. To be closed, or what was
 * suppressed last is not told.
 */
export interface NodeLog extends Log {
  close(): void
}

/** `recent` keeps the last lines too. */
export function openLog(
  config: NodeConfig['log'],
  base: Readonly<Record<string, unknown>>,
  recent: LogRing,
  timers: LogTimers = systemTimers,
): NodeLog {
  const target =
    config.file === null ? { dest: 2, sync: true } : { dest: config.file, append: true, mkdir: true, sync: true }
  const out = destination(target)
  const logger = pino(
    {
      level: config.level,
      base: { ...base },
      messageKey: 'code',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    {
      write(line: string) {
        recent.write(line)
        out.write(line)
      },
    },
  )
  const limit = new LogLimit(
    (level, of, lines) => logger[level]({ of, lines, withinMs: PERIOD_MS }, 'log-suppressed'),
    timers,
  )
  const at = (level: LogLevel): Log[LogLevel] => {
    if (!logger.isLevelEnabled(level)) return () => {}
    return (code, fields) => {
      if (limit.admits(level, code)) logger[level](fields ?? {}, code)
    }
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    close: () => limit.flush(),
  }
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }
