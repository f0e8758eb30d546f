// Where the dispatcher and the replica meet. The replica implements ReplicaPort, the dispatcher ReplicaHost; each is
// given to the other's constructor, and neither imports the other's class.
import type { ExecuteResult } from '../../consensus/ports.ts'
import type { Message } from '../protocol/message.ts'

/**
 * What became of a submitted request.
 *
 *   accepted      the reference belongs to the replica; a reply will come, or onPrimaryLost
 *   busy          the pipeline is full: the caller keeps the reference and submits again on onSpace
 *   not-primary   never admitted: status 58
 *   in-flight     this very request is in the pipeline already; its one reply answers both
 *   replied       executed before: the stored reply went out through Bus.sendToClient (during this call)
 *   no-session    the session is unknown, or another one than this client's: eviction
 *   gap           a request before this one is missing: never admitted, the client sends again in order: status 58
 *   stale         executed so long ago that its reply is gone: status 59
 *   mismatch      the same request number with other contents: a bug of the client, refused
 */
export type SubmitOutcome =
  | 'accepted'
  | 'busy'
  | 'not-primary'
  | 'in-flight'
  | 'replied'
  | 'no-session'
  | 'gap'
  | 'stale'
  | 'mismatch'

/**
 * What became of the wish to read linearizably.
 *
 *   accepted      the callback will be called once, perhaps during the call
 *   busy          too many wait already
 *   not-primary   only the primary can say
 */
export type ConfirmOutcome = 'accepted' | 'busy' | 'not-primary'

export type ReplicaStatus = 'normal' | 'view_change' | 'recovering' | 'recovering_head'

export interface PeerState {
  readonly replica: number
  readonly connected: boolean
  readonly op: number
  readonly commit: number
  readonly view: number
  readonly lastHeardMs: number
  /** Mean time until it answers a ping; 0 when it never did. */
  readonly roundTripMs: number
}

export interface ReplicaPort {
  readonly index: number
  readonly replicaCount: number
  readonly view: number
  readonly status: ReplicaStatus
  /** Normal, primary of a durable view, may take requests. */
  readonly isPrimary: boolean
  /** A primary has executed all that was in the log when it took over: its predecessor may have acknowledged it. */
  readonly caughtUp: boolean
  /** Of the durable log_view; -1 when unknown. */
  readonly primaryIndex: number
  /** The last op that stands in the log here. */
  readonly op: number
  /** The last executed op. */
  readonly commitMin: number
  /**
   * Takes a Request frame whose header the dispatcher has completed (client, session, request, operation, user_id,
   * request_checksum) and turns it into a Prepare in place. On any other outcome than 'accepted' the caller keeps the
   * reference and finds the frame unchanged. May call ReplicaHost and Bus.sendToClient before it returns.
   */
  submit(request: Message): SubmitOutcome
  /** What is executed here may be shown: all of it is committed, though others may be further. */
  readonly servesReads: boolean
  /**
   * For a linearizable read: `done(true)` once this replica has executed all that was acknowledged to anybody before this call,
   * `done(false)` when it does not lead any more before it could tell.
   */
  confirm(done: (confirmed: boolean) => void): ConfirmOutcome
  /**
   * What is known of a request's number, whatever its body: asked before the body of the log is made of it, which may come out
   * differently each time. null: nothing, it can be submitted.
   */
  recall(request: Message): SubmitOutcome | null
  /** Is this session alive for this client: asked for commands that do not go through the log. `client` is getKey of its id. */
  hasSession(client: string, session: number): boolean
  /** Whose session this client's is; null when it has none. */
  userOf(client: string): number | null
  /** The op of this client's last login, as far as this replica remembers; 0 when it has no session. */
  registeredAt(client: string): number
  /** What is known of the other replicas, in the order of their index; without this one. */
  peers(): readonly PeerState[]
}

/** What the replica tells the dispatcher. Replies come through Bus.sendToClient, which ends at Dispatcher.deliver. */
export interface ReplicaHost {
  /** The pipeline has room again after a 'busy'. */
  onSpace(): void
  /** This replica is not primary any more: what it had accepted and not executed is undecided. */
  onPrimaryLost(): void
  /**
   * An op submitted with client id 0 and `request = token` was executed, on whichever replica, also in a replay after a
   * restart. Tokens carry a random part, so that a host recognises its own. `result` is valid during the call.
   */
  onInternalCommitted(token: number, result: ExecuteResult): void
}
