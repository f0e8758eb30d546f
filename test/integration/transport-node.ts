// A node that serves every transport, with certificates made for it, and clients of each.
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { generate } from 'selfsigned'
import { WebSocket as RawWebSocket } from 'ws'
import { freePorts } from '../../chaos/ports.ts'
import { type ConfigFlags, type Environment, loadConfig } from '../../src/server/config.ts'
import { formatNode } from '../../src/server/format.ts'
import { silentLog } from '../../src/server/log.ts'
import { LogRing } from '../../src/server/log-ring.ts'
import { GalgoNode } from '../../src/server/node.ts'

export const FRAME_SIZE_MAX = 64 * 1024

export interface Pem {
  readonly cert: string
  readonly key: string
}

/** An authority that lives as long as the test, and what it signs. */
export class Authority {
  readonly cert: string
  readonly #key: string

  static async make(): Promise<Authority> {
    const made = await generate([{ name: 'commonName', value: 'an authority' }], {
      keyType: 'ec',
      algorithm: 'sha256',
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, critical: true },
      ],
    })
    return new Authority(made.cert, made.private)
  }

  private constructor(cert: string, key: string) {
    this.cert = cert
    this.#key = key
  }

  /** A certificate for 127.0.0.1 and `name`, good until `until`. */
  async sign(name: string, until?: Date): Promise<Pem> {
    const made = await generate([{ name: 'commonName', value: name }], {
      keyType: 'ec',
      algorithm: 'sha256',
      ca: { key: this.#key, cert: this.cert },
      ...(until === undefined ? {} : { notBeforeDate: new Date(until.getTime() - 86_400_000), notAfterDate: until }),
      extensions: [
        {
          name: 'subjectAltName',
          altNames: [
            { type: 2, value: name },
            { type: 7, ip: '127.0.0.1' },
          ],
        },
      ],
    })
    return { cert: made.cert, key: made.private }
  }
}

export function writePem(directory: string, { cert, key }: Pem): { certificate: string; key: string } {
  const files = { certificate: join(directory, 'node.pem'), key: join(directory, 'node.key') }
  writeFileSync(files.certificate, cert)
  writeFileSync(files.key, key)
  return files
}

/** A node of its own in `directory`, with these flags and variables. */
export async function startNode(
  directory: string,
  flags: ConfigFlags,
  environment: Environment = {},
  log = silentLog,
  recent = new LogRing(),
): Promise<GalgoNode> {
  const data = join(directory, 'data')
  mkdirSync(data)
  const [replica] = await freePorts(1)
  await formatNode({ data, cluster: 'test', replica: 0, replicas: 1, frameSizeMax: FRAME_SIZE_MAX, journalSlots: 128 })
  const fixed = { data, addresses: `127.0.0.1:${replica}`, client: '127.0.0.1:0', http: 'off', logLevel: 'silent' }
  const config = loadConfig({ ...fixed, ...flags }, environment)
  return await GalgoNode.open({ config, log, recent, expected: null })
}

export const TRANSPORTS = ['tcp', 'tls', 'websocket', 'websocket over tls'] as const
export type Transport = (typeof TRANSPORTS)[number]

export const isWebSocket = (transport: Transport): boolean => transport.startsWith('websocket')

/** How a node is told to serve this transport. */
export function serving(
  transport: Transport,
  { certificate, key }: { readonly certificate: string; readonly key: string },
): ConfigFlags {
  const files = { tlsCertificate: certificate, tlsKey: key }
  switch (transport) {
    case 'tcp':
      return {}
    case 'tls':
      return { tls: '127.0.0.1:0', ...files }
    case 'websocket':
      return { websocket: '127.0.0.1:0' }
    case 'websocket over tls':
      return { websocket: '127.0.0.1:0', websocketTls: true, ...files }
  }
}

export function portOf(node: GalgoNode, transport: Transport): number {
  if (transport === 'tcp') return node.clientPort
  return transport === 'tls' ? node.tlsPort : node.websocketPort
}

/** A connection that says what it likes. Over a WebSocket, what is written at once is one message. */
export interface RawWire {
  write(bytes: Uint8Array): void
  /** Reads nothing more. */
  deafen(): void
  /** Says nothing more, in order. */
  end(): void
  destroy(): void
}

export interface RawEvents {
  onData(bytes: Buffer): void
  onClose(): void
}

export function dialRaw(transport: Transport, port: number, ca: string, events: RawEvents): RawWire {
  return isWebSocket(transport) ? dialWebSocket(transport, port, ca, events) : dialStream(transport, port, ca, events)
}

function dialStream(transport: Transport, port: number, ca: string, { onData, onClose }: RawEvents): RawWire {
  const host = '127.0.0.1'
  const socket = transport === 'tcp' ? connectSocket({ host, port, noDelay: true }) : connectTls({ host, port, ca })
  socket.on('error', () => {})
  socket.on('data', onData)
  socket.on('close', onClose)
  return {
    write: (bytes) => void socket.write(bytes),
    deafen: () => void socket.pause(),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  }
}

function dialWebSocket(transport: Transport, port: number, ca: string, { onData, onClose }: RawEvents): RawWire {
  const scheme = transport === 'websocket' ? 'ws' : 'wss'
  const socket = new RawWebSocket(`${scheme}://127.0.0.1:${port}/`, { ca })
  socket.on('error', () => {})
  socket.on('message', (data) => onData(data as Buffer))
  socket.on('close', onClose)
  const waiting: (() => void)[] = []
  socket.on('open', () => {
    for (const action of waiting.splice(0)) action()
  })
  const opened = (action: () => void): void => {
    if (socket.readyState === RawWebSocket.CONNECTING) waiting.push(action)
    else action()
  }
  return {
    write: (bytes) => opened(() => socket.send(bytes, { binary: true }, () => {})),
    deafen: () => opened(() => socket.pause()),
    end: () => opened(() => socket.close()),
    destroy: () => socket.terminate(),
  }
}
