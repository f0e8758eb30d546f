// Logins, users, personal access tokens.
import type { Credentials } from '../../client/session.ts'
import { utf8Encode } from '../../protocol/bytes.ts'
import { encodeEndAccessLogin } from '../../protocol/commands/access-token.ts'
import { encodeChangePassword } from '../../protocol/commands/change-password.ts'
import {
  decodeCreatePersonalAccessTokenReply,
  encodeCreatePersonalAccessToken,
} from '../../protocol/commands/create-personal-access-token.ts'
import { decodeCreateUserReply, encodeCreateUser } from '../../protocol/commands/create-user.ts'
import { encodeDeletePersonalAccessToken } from '../../protocol/commands/delete-personal-access-token.ts'
import { encodeDeleteUser } from '../../protocol/commands/delete-user.ts'
import { decodeUserReply, encodeGetUser } from '../../protocol/commands/get-user.ts'
import { decodeListPersonalAccessTokensReply } from '../../protocol/commands/list-personal-access-tokens.ts'
import { decodeListUsersReply } from '../../protocol/commands/list-users.ts'
import { encodeUpdatePermissions } from '../../protocol/commands/update-permissions.ts'
import { encodeUpdateUser } from '../../protocol/commands/update-user.ts'
import { Status } from '../../protocol/errors.ts'
import { Code, Operation } from '../../protocol/operations.ts'
import { readAccess } from '../access-jwt.ts'
import { Bodies, newName } from './bodies.ts'
import { type Call, empty, json, NOTHING, type Route, route } from './call.ts'
import { notFound, refuse } from './errors.ts'
import { tokenJson, userDetailsJson, userJson } from './shapes.ts'

/** What a frame has room for. */
const SECRET_SIZE_MAX = 255

function fits(secret: string, status: number): string {
  if (utf8Encode(secret).length > SECRET_SIZE_MAX) throw refuse(status)
  return secret
}

async function issue(call: Call, credentials: Credentials): Promise<Response> {
  const { userId, token, expiresAt } = await call.parts.sessions.issue(credentials, call.address)
  return json({ user_id: userId, access_token: { token, expiry: expiresAt } })
}

async function logOut(call: Call): Promise<Response> {
  const { token } = call
  const claims = readAccess(token)
  if (claims === null) await call.read(Code.me, NOTHING, NOTHING)
  else await call.write(Operation.endAccessLogin, (w) => encodeEndAccessLogin(w, claims), NOTHING)
  call.parts.sessions.forget(token)
  return empty(204)
}

export const USER_ROUTES: readonly Route[] = [
  route(
    'POST',
    '/users/login',
    (call) => {
      const { username, password } = call.body(Bodies.login)
      // An empty name has no place in a frame, and belongs to nobody.
      if (username === '') throw refuse(Status.invalidCredentials)
      fits(username, Status.invalidCredentials)
      return issue(call, { username, password: fits(password, Status.invalidCredentials) })
    },
    'login',
  ),
  route(
    'POST',
    '/personal-access-tokens/login',
    (call) => {
      const { token } = call.body(Bodies.tokenLogin)
      // An access token is refreshed, not traded in.
      if (token === '' || readAccess(token) !== null) throw refuse(Status.invalidPersonalAccessToken)
      return issue(call, { token: fits(token, Status.invalidPersonalAccessToken) })
    },
    'login',
  ),
  route(
    'POST',
    '/users/refresh-token',
    (call) => {
      const { token } = call.body(Bodies.tokenLogin)
      if (readAccess(token) === null) throw refuse(Status.unauthenticated)
      return issue(call, { token: fits(token, Status.unauthenticated) })
    },
    'login',
  ),
  route('DELETE', '/users/logout', logOut),

  route('GET', '/users', async (call) =>
    json((await call.read(Code.listUsers, NOTHING, decodeListUsersReply)).map(userJson)),
  ),
  route('POST', '/users', async (call) => {
    const { username, password, status, permissions = null } = call.body(Bodies.createUser)
    const user = {
      name: newName(username, Status.invalidUsername),
      password: fits(password, Status.invalidPassword),
      status,
      permissions,
    }
    const details = await call.write(Operation.createUser, (w) => encodeCreateUser(w, user), decodeCreateUserReply)
    if (details === null) throw refuse(Status.error)
    return json(userDetailsJson(details))
  }),
  route('GET', '/users/:user', async (call) => {
    const user = call.id('user')
    const details = await call.read(
      Code.getUser,
      (w, session) => encodeGetUser(w, { user: user === 'me' ? session.userId : user }),
      decodeUserReply,
    )
    if (details === null) throw notFound()
    return json(userDetailsJson(details))
  }),
  route('PUT', '/users/:user', async (call) => {
    const { username, status, options } = call.body(Bodies.updateUser)
    // There are none that could be changed.
    if (Object.keys(options).length > 0) throw refuse(Status.unsupportedOptionKey, undefined, 'options')
    const update = {
      user: call.id('user'),
      name: username === undefined || username === null ? null : newName(username, Status.invalidUsername),
      status: status ?? null,
    }
    await call.write(Operation.updateUser, (w) => encodeUpdateUser(w, update), NOTHING)
    return empty(204)
  }),
  route('DELETE', '/users/:user', async (call) => {
    await call.write(Operation.deleteUser, (w) => encodeDeleteUser(w, { user: call.id('user') }), NOTHING)
    return empty(204)
  }),
  route('PUT', '/users/:user/password', async (call) => {
    const { current_password, new_password } = call.body(Bodies.changePassword)
    const change = {
      user: call.id('user'),
      current: fits(current_password, Status.invalidCredentials),
      next: fits(new_password, Status.invalidPassword),
    }
    await call.write(Operation.changePassword, (w) => encodeChangePassword(w, change), NOTHING)
    return empty(204)
  }),
  route('PUT', '/users/:user/permissions', async (call) => {
    const { permissions = null } = call.body(Bodies.permissions)
    const update = { user: call.id('user'), permissions }
    await call.write(Operation.updatePermissions, (w) => encodeUpdatePermissions(w, update), NOTHING)
    return empty(204)
  }),

  route('GET', '/personal-access-tokens', async (call) =>
    json((await call.read(Code.listPersonalAccessTokens, NOTHING, decodeListPersonalAccessTokensReply)).map(tokenJson)),
  ),
  route('POST', '/personal-access-tokens', async (call) => {
    const { name, expiry } = call.body(Bodies.createToken)
    const request = { name: newName(name, Status.invalidPersonalAccessTokenName), lifetime: expiry }
    const token = await call.write(
      Operation.createPersonalAccessToken,
      (w) => encodeCreatePersonalAccessToken(w, request),
      decodeCreatePersonalAccessTokenReply,
    )
    return json({ token })
  }),
  route('DELETE', '/personal-access-tokens/:name', async (call) => {
    const name = newName(call.param('name'), Status.invalidPersonalAccessTokenName)
    const write = Operation.deletePersonalAccessToken
    await call.write(write, (w) => encodeDeletePersonalAccessToken(w, { name }), NOTHING)
    return empty(204)
  }),
]
