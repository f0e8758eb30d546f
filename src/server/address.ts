// `host:port` as users write it: names, IPv4, IPv6 in brackets.
import type { Socket } from 'node:net'
import { ServerError } from './errors.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

/** Takes `host:port`, `[v6]:port` or `:port` (all interfaces of IPv4). `what` names the flag or key for the message. */
export function parseAddress(text: string, what: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(text.trim())
  const port = match === null ? Number.NaN : Number(match[3])
  if (match === null || port > 65535) {
    throw new ServerError('bad-config', `${what} must look like HOST:PORT with a port up to 65535, but is "${text}"`)
  }
  return { host: match[1] ?? (match[2] === '' ? '0.0.0.0' : (match[2] as string)), port }
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Who is at the other end. */
export function remoteOf({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return formatAddress({ host: remoteAddress ?? 'unknown', port: remotePort ?? 0 })
}
