// What names and passwords of users and tokens must look like.
import { ProtocolError, utf8Encode } from './bytes.ts'
import { Status } from './errors.ts'

/** Bytes. */
const USERNAME = { min: 3, max: 50 }
const PASSWORD = { min: 3, max: 100 }
const TOKEN_NAME = { min: 3, max: 30 }

function check(text: string, { min, max }: { min: number; max: number }, status: number, what: string): void {
  const { length } = utf8Encode(text)
  if (length < min || length > max)
    throw new ProtocolError(status, `${what} takes ${min} to ${max} bytes, not ${length}`)
}

/** 43 when it is too short or too long. */
export function checkUsername(name: string): void {
  check(name, USERNAME, Status.invalidUsername, 'a user name')
}

/** 44 when it is too short or too long. Never a log's business: the message does not show it. */
export function checkPassword(password: string): void {
  check(password, PASSWORD, Status.invalidPassword, 'a password')
}

/** 50 when it is too short or too long. */
export function checkTokenName(name: string): void {
  check(name, TOKEN_NAME, Status.invalidPersonalAccessTokenName, 'the name of a personal access token')
}
