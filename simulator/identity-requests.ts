// Requests about users, tokens, names and purges, as they stand in the log: what a door makes of them is not simulated here.
// Many are refused, the same way everywhere. The stream and topic that last are left alone.
import { Writer } from '../src/protocol/bytes.ts'
import { encodeEndAccessLogin, hexOf, LOGIN_NUMBER_SIZE } from '../src/protocol/commands/access-token.ts'
import { encodeChangePassword } from '../src/protocol/commands/change-password.ts'
import { encodeTokenEntry } from '../src/protocol/commands/create-personal-access-token.ts'
import { encodeCreateUser } from '../src/protocol/commands/create-user.ts'
import { encodeDeletePersonalAccessToken } from '../src/protocol/commands/delete-personal-access-token.ts'
import { encodeDeleteUser } from '../src/protocol/commands/delete-user.ts'
import { encodePurgeStream } from '../src/protocol/commands/purge-stream.ts'
import { encodePurgeTopic } from '../src/protocol/commands/purge-topic.ts'
import { encodeUpdatePermissions } from '../src/protocol/commands/update-permissions.ts'
import { encodeUpdateStream } from '../src/protocol/commands/update-stream.ts'
import { encodeUpdateTopic } from '../src/protocol/commands/update-topic.ts'
import { encodeUpdateUser } from '../src/protocol/commands/update-user.ts'
import { Operation } from '../src/protocol/operations.ts'
import {
  ALL_GLOBAL_RIGHTS,
  ALL_STREAM_RIGHTS,
  ALL_TOPIC_RIGHTS,
  globalRights,
  type Permissions,
  streamRights,
  topicRights,
} from '../src/protocol/permissions.ts'
import type { SeededRandom } from './random.ts'

export interface SimRequest {
  readonly operation: number
  readonly body: Uint8Array
}

/** Kinds of requests that the first seeds asked for, and all. */
const FIRST_KINDS = 10
export const ALL_KINDS = 13

/** `stream` comes and goes; `topic` is one of its topics, perhaps. */
export function identityRequest(random: SeededRandom, stream: string, topic: string, kinds = FIRST_KINDS): SimRequest {
  const name = `user-${random.below(2)}`
  const hash = `$simulated$${random.below(1000)}$0`
  switch (random.below(kinds)) {
    case 0: {
      const status = random.pick(['active', 'inactive'] as const)
      return request(Operation.createUser, (w) =>
        encodeCreateUser(w, { name, password: hash, status, permissions: permissions(random) }),
      )
    }
    case 1:
      return request(Operation.updateUser, (w) =>
        encodeUpdateUser(w, { user: name, name: `user-${random.below(2)}`, status: null }),
      )
    case 2:
      return request(Operation.deleteUser, (w) => encodeDeleteUser(w, { user: name }))
    case 3:
      return request(Operation.changePassword, (w) => encodeChangePassword(w, { user: name, current: '', next: hash }))
    case 4:
      return request(Operation.updatePermissions, (w) =>
        encodeUpdatePermissions(w, { user: name, permissions: permissions(random) }),
      )
    case 5: {
      const digest = new Uint8Array(32).fill(random.below(256))
      const lifetime = random.pick([1, 100_000, Number.POSITIVE_INFINITY])
      return request(Operation.createPersonalAccessToken, (w) =>
        encodeTokenEntry(w, { name: `token-${random.below(2)}`, lifetime, digest }),
      )
    }
    case 6:
      return request(Operation.deletePersonalAccessToken, (w) =>
        encodeDeletePersonalAccessToken(w, { name: `token-${random.below(2)}` }),
      )
    case 7:
      return request(Operation.updateStream, (w) =>
        encodeUpdateStream(w, { stream, name: `passing-${random.below(3)}` }),
      )
    case 8:
      return request(Operation.updateTopic, (w) =>
        encodeUpdateTopic(w, { stream, topic, name: topic, options: { maxTopicSize: random.below(2) * 2 ** 20 } }),
      )
    case 10:
    case 11:
    case 12:
      return request(Operation.endAccessLogin, (w) =>
        encodeEndAccessLogin(w, { login: hexOf(new Uint8Array(LOGIN_NUMBER_SIZE).fill(random.below(256))) }),
      )
    default:
      return random.chance(0.5)
        ? request(Operation.purgeStream, (w) => encodePurgeStream(w, { stream }))
        : request(Operation.purgeTopic, (w) => encodePurgeTopic(w, { stream, topic }))
  }
}

function permissions(random: SeededRandom): Permissions | null {
  if (random.chance(0.2)) return null
  const topics = [topicRights(random.below(2), random.pick(ALL_TOPIC_RIGHTS))]
  const streams = [{ ...streamRights(random.below(3), random.pick(ALL_STREAM_RIGHTS)), topics }]
  return { ...globalRights(random.pick(ALL_GLOBAL_RIGHTS)), streams: random.chance(0.5) ? streams : [] }
}

export function request(operation: number, write: (writer: Writer) => void): SimRequest {
  const writer = new Writer()
  write(writer)
  return { operation, body: writer.written().slice() }
}
