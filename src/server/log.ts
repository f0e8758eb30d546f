// Structured logs by pino, one JSON object a line: { time, level, node, code, ...fields }. Each thread has its own
// logger on the same file: appends of whole lines do not tear. How much is said of one thing is limited (log-limit.ts).
import { dirname } from 'node:path'
import { destination, pino } from 'pino'
import type { Log } from '../../consensus/ports.ts'
import type { NodeConfig } from './config.ts'
import { makeDirectories } from './data-directory.ts'
import { messageOf, ServerError } from './errors.ts'
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
  const out = openOutput(config.file)
  // A log that cannot be written, on a full disk say, is no reason to end; what it kept to itself is told when it can be again.
  let lost = 0
  let fails = false
  out.on('error', () => {
    fails = true
  })
  out.on('write', () => {
    fails = false
  })
  out.on('drop', () => {
    lost += 1
  })
  const tellLost = (): void => {
    // With no room for a line it does not even try.
    out.write('')
    if (fails) return
    const lines = lost
    lost = 0
    logger.error({ lines }, 'log-lost')
  }
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
        if (lost > 0) tellLost()
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

/** Bytes that wait for a file that takes none; what comes beyond is lost. */
const WAITING_MAX = 64 * 1024

/** Throws a ServerError. `null`: standard error. */
function openOutput(file: string | null): ReturnType<typeof destination> {
  try {
    if (file !== null) makeDirectories(dirname(file))
    return destination({ dest: file ?? 2, append: true, sync: true, maxLength: WAITING_MAX })
  } catch (error) {
    throw new ServerError(
      'bad-config',
      `cannot write the log to ${file ?? 'standard error'}: ${messageOf(error)}; choose another file with --log-file`,
      { cause: error },
    )
  }
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }
