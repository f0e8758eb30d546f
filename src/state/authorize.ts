// May this user do what this request asks? Asked at the door, so that nothing without a right travels on, and again when an op
// executes, which is what counts: rights may have changed on the way.
import type { Reader } from '../protocol/bytes.ts'
import { readConsumer } from '../protocol/consumer.ts'
import { Status } from '../protocol/errors.ts'
import type { Identifier } from '../protocol/identifier.ts'
import { readIdentifier } from '../protocol/identifier.ts'
import { ROOT_USER, type Rule } from './access.ts'
import type { Identity } from './identity.ts'

/** As much of the state as rights are about. */
export interface Places {
  readonly identity: Identity
  stream(id: Identifier): { readonly found: { readonly id: number } | null }
  topic(
    stream: Identifier,
    id: Identifier,
  ): { readonly found: { readonly stream: { readonly id: number }; readonly topic: { readonly id: number } } | null }
}

/**
 * 0, or the status to answer with. Reads as much of the body as it needs; throws a ProtocolError where that is malformed. What
 * is not there is refused to whoever has no rights everywhere, like what is there and not theirs.
 */
export function authorize(state: Places, user: number, rule: Rule | null, body: Reader): number {
  const { identity } = state
  if (!identity.isActive(user)) return Status.unauthenticated
  if (user === ROOT_USER || rule?.kind === 'anybody') return Status.ok
  if (rule === null) return Status.unauthorized
  let stream: number | null = null
  let topic: number | null = null
  switch (rule.kind) {
    case 'everywhere':
      break
    case 'own':
      if (identity.user(readIdentifier(body))?.id === user) return Status.ok
      break
    case 'stream':
      stream = state.stream(readIdentifier(body)).found?.id ?? null
      break
    case 'topic': {
      if (rule.after === 'consumer') readConsumer(body)
      if (rule.after === 'length') body.skip(4)
      const { found } = state.topic(readIdentifier(body), readIdentifier(body))
      stream = found?.stream.id ?? null
      topic = found?.topic.id ?? null
    }
  }
  return identity.allows(user, rule.action, stream, topic) ? Status.ok : Status.unauthorized
}
