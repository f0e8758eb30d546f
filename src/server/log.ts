// Structured logs by pino, one JSON object a line: { time, level, node, code, ...fields }. Each thread has its own
// logger on the same file: appends of whole lines do not tear.
import { destination, type Logger, pino } from 'pino'
import type { Log } from '../../consensus/ports.ts'
import type { NodeConfig } from './config.ts'
import type { LogRing } from './log-ring.ts'

/** `code` names the event, in kebab-case, once and for all; everything that varies is in the fields. */
export type ServerLog = Log

/** `recent` keeps the last lines too. */
export function openLogger(
  config: NodeConfig['log'],
  base: Readonly<Record<string, unknown>>,
  recent: LogRing,
): Logger {
  const target =
    config.file === null ? { dest: 2, sync: true } : { dest: config.file, append: true, mkdir: true, sync: true }
  const out = destination(target)
  return pino(
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
}

export function asLog(logger: Logger): Log {
  return {
    debug: (code, fields) => logger.debug(fields ?? {}, code),
    info: (code, fields) => logger.info(fields ?? {}, code),
    warn: (code, fields) => logger.warn(fields ?? {}, code),
    error: (code, fields) => logger.error(fields ?? {}, code),
  }
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }
