// Exit codes, for scripts. They are part of the interface: a number keeps its meaning.

export const ExitCode = {
  ok: 0,
  /** Whatever has no code of its own. */
  failed: 1,
  /** Unknown command or flag, a value that is not one. */
  usage: 2,
  /** No such stream, topic, partition or stored offset. */
  notFound: 3,
  /** No node could be reached, or none answered in time. */
  cannotConnect: 4,
  /** Wrong user name or password, or not allowed. */
  refused: 5,
  exists: 6,
  /** `galgo status`: the nodes answer, but no primary can take requests. */
  unavailable: 7,
  /** Ctrl-C before the work was done. */
  interrupted: 130,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

export const EXIT_CODES_HELP = `Exit codes:
  0 done, 1 failed, 2 wrong usage, 3 not found, 4 cannot connect, 5 credentials refused,
  6 exists already, 7 no primary (status), 130 interrupted`
