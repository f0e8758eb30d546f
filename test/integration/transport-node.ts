// A node that serves every transport, with certificates made for it, and clients of each.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import { freePorts } from '../../chaos/ports.ts'
import { type ConfigFlags, type Environment, loadConfig } from '../../src/server/config.ts'
import { formatNode } from '../../src/server/format.ts'
import { silentLog } from '../../src/server/log.ts'
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
): Promise<GalgoNode> {
  const data = join(directory, 'data')
  mkdirSync(data)
  const [replica] = await freePorts(1)
  await formatNode({ data, cluster: 'test', replica: 0, replicas: 1, frameSizeMax: FRAME_SIZE_MAX, journalSlots: 128 })
  const fixed = { data, addresses: `127.0.0.1:${replica}`, client: '127.0.0.1:0', http: 'off', logLevel: 'silent' }
  const config = loadConfig({ ...fixed, ...flags }, environment)
  return await GalgoNode.open({ config, log, expected: null })
}
