// New names are in Unicode's composed form (NFC) and hold no control characters: two names that look the same are the same, and
// none writes on anybody's terminal. Upper and lower case differ. Looked at on the door and not when an op executes: what the
// composed form of new characters is, depends on the runtime, and replicas may run on different ones.
import { ProtocolError, type Reader } from '../protocol/bytes.ts'
import { decodeCreateConsumerGroup } from '../protocol/commands/create-consumer-group.ts'
import { decodeCreatePersonalAccessToken } from '../protocol/commands/create-personal-access-token.ts'
import { decodeCreateStream } from '../protocol/commands/create-stream.ts'
import { decodeCreateTopic } from '../protocol/commands/create-topic.ts'
import { decodeCreateUser } from '../protocol/commands/create-user.ts'
import { decodeUpdateStream } from '../protocol/commands/update-stream.ts'
import { decodeUpdateTopic } from '../protocol/commands/update-topic.ts'
import { decodeUpdateUser } from '../protocol/commands/update-user.ts'
import { Status } from '../protocol/errors.ts'
import { Operation } from '../protocol/operations.ts'

interface Named {
  readonly decode: (reader: Reader) => { readonly name: string | null }
  readonly status: number
}

const NAMED: ReadonlyMap<number, Named> = new Map<number, Named>([
  [Operation.createStream, { decode: decodeCreateStream, status: Status.invalidStreamName }],
  [Operation.updateStream, { decode: decodeUpdateStream, status: Status.invalidStreamName }],
  [Operation.createTopic, { decode: decodeCreateTopic, status: Status.invalidTopicName }],
  [Operation.updateTopic, { decode: decodeUpdateTopic, status: Status.invalidTopicName }],
  [Operation.createConsumerGroup, { decode: decodeCreateConsumerGroup, status: Status.invalidConsumerGroupName }],
  [Operation.createUser, { decode: decodeCreateUser, status: Status.invalidUsername }],
  [Operation.updateUser, { decode: decodeUpdateUser, status: Status.invalidUsername }],
  [
    Operation.createPersonalAccessToken,
    { decode: decodeCreatePersonalAccessToken, status: Status.invalidPersonalAccessTokenName },
  ],
])

/** 0, or the status for a request that gives such a name. What is wrong with it apart from that, its execution says. */
export function faultOfNewName(operation: number, body: Reader): number {
  const named = NAMED.get(operation)
  if (named === undefined) return Status.ok
  try {
    const { name } = named.decode(body)
    return name === null || (name === name.normalize('NFC') && !/\p{Cc}/u.test(name)) ? Status.ok : named.status
  } catch (error) {
    if (error instanceof ProtocolError) return Status.ok
    throw error
  }
}
