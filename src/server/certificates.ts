// The certificate of a node: two PEM files that are read again when they change, or, for development, one that the node signs
// for itself and keeps in its directory.
//
//   DIR/self-signed.pem   what clients are told to trust        DIR/self-signed.key   readable for this user alone
import { createHash, createPrivateKey, randomBytes, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import type { Log } from '../../consensus/ports.ts'
import type { CertificateSource } from './config.ts'
import { directoryError, messageOf, ServerError, systemCode } from './errors.ts'

const LOOK_MS = 2000
const DAY_MS = 86_400_000
const SELF_SIGNED_DAYS = 365
/** An own certificate that ends sooner is made anew at the start. */
const SELF_SIGNED_DAYS_LEFT = 30

/** PEM, as node:tls takes it. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

export interface CertificateOptions {
  readonly source: CertificateSource
  /** The data directory of the node. */
  readonly data: string
  /** Names and addresses that a certificate made here shall be good for. */
  readonly hosts: readonly string[]
  readonly log: Log
  readonly onChange: (pair: KeyPair) => void
}

export class Certificate {
  readonly #files: { readonly certificate: string; readonly key: string }
  readonly #log: Log
  readonly #onChange: (pair: KeyPair) => void
  #pair: KeyPair
  /** What was last looked at, good or not: the same trouble is told once. */
  #seen: string
  #timer: NodeJS.Timeout | null = null

  /** Throws a ServerError when there is no usable certificate. */
  static async open(options: CertificateOptions): Promise<Certificate> {
    const { source, log } = options
    if (source !== 'self-signed') return new Certificate(source, options)
    const files = await selfSigned(options)
    log.warn('tls-self-signed', { certificate: files.certificate, why: 'for development only: nobody vouches for it' })
    return new Certificate(files, options)
  }

  private constructor(files: { certificate: string; key: string }, { log, onChange }: CertificateOptions) {
    this.#files = files
    this.#log = log
    this.#onChange = onChange
    this.#pair = readPair(files)
    this.#seen = digest(this.#pair)
    this.#tell('tls-certificate')
  }

  get pair(): KeyPair {
    return this.#pair
  }

  /** Looks at the files every two seconds from now on: their times say little, links to them are changed, so what is in them counts. */
  watch(): void {
    this.#timer = setInterval(() => this.reload(), LOOK_MS).unref()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** Takes what is in the files now. If that is of no use, perhaps because only one of them was replaced yet, the old one stays. */
  reload(): void {
    let seen: string
    try {
      seen = digest(readFiles(this.#files))
      if (seen === this.#seen) return
    } catch (error) {
      seen = messageOf(error)
      if (seen === this.#seen) return
    }
    this.#seen = seen
    try {
      this.#pair = readPair(this.#files)
    } catch (error) {
      this.#log.error('tls-certificate-refused', { why: messageOf(error), still: 'the one before' })
      return
    }
    this.#onChange(this.#pair)
    this.#tell('tls-certificate-replaced')
  }

  #tell(code: string): void {
    const { subject, fingerprint256, validTo } = new X509Certificate(this.#pair.cert)
    this.#log.info(code, { certificate: this.#files.certificate, subject, fingerprint: fingerprint256, until: validTo })
    if (Date.parse(validTo) < Date.now())
      this.#log.error('tls-certificate-expired', { certificate: this.#files.certificate, since: validTo })
  }
}

function digest({ cert, key }: KeyPair): string {
  return createHash('sha256').update(`${cert.length} `).update(cert).update(key).digest('hex')
}

function readFiles(files: { readonly certificate: string; readonly key: string }): KeyPair {
  return { cert: readPem(files.certificate, 'tls.certificate'), key: readPem(files.key, 'tls.key') }
}

function readPem(path: string, key: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const why = systemCode(error) === 'ENOENT' ? 'there is no such file' : messageOf(error)
    throw new ServerError('bad-certificate', `cannot read ${path}: ${why}; "${key}" names it`, { cause: error })
  }
}

/** A certificate and the private key that belongs to it. */
export function readPair(files: { readonly certificate: string; readonly key: string }): KeyPair {
  const pair = readFiles(files)
  const bad = (path: string, what: string, cause?: unknown): ServerError =>
    new ServerError('bad-certificate', `${path} ${what}; write it anew as PEM`, { cause })
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(pair.cert)
  } catch (error) {
    throw bad(files.certificate, `holds no certificate (${messageOf(error)})`, error)
  }
  let belongs: boolean
  try {
    belongs = certificate.checkPrivateKey(createPrivateKey(pair.key))
  } catch (error) {
    throw bad(files.key, `holds no private key, or one that is encrypted (${messageOf(error)})`, error)
  }
  if (!belongs)
    throw new ServerError(
      'bad-certificate',
      `${files.key} is not the private key of the certificate in ${files.certificate}; name the two files that belong together`,
    )
  try {
    createSecureContext({ ...pair })
  } catch (error) {
    throw bad(files.certificate, `cannot be used (${messageOf(error)})`, error)
  }
  return pair
}

/** The own certificate in the directory, made when there is none that is good for these hosts for some time to come. */
async function selfSigned({ data, hosts, log }: CertificateOptions): Promise<{ certificate: string; key: string }> {
  const files = { certificate: join(data, 'self-signed.pem'), key: join(data, 'self-signed.key') }
  const names = [...new Set(['localhost', '127.0.0.1', '::1', ...hosts])]
  if (existsSync(files.certificate) && existsSync(files.key)) {
    try {
      const known = new X509Certificate(readPair(files).cert)
      const lasts = Date.parse(known.validTo) > Date.now() + SELF_SIGNED_DAYS_LEFT * DAY_MS
      if (
        lasts &&
        names.every((name) => (isIP(name) === 0 ? known.checkHost(name) : known.checkIP(name)) !== undefined)
      )
        return files
    } catch (error) {
      log.warn('tls-self-signed-unusable', { why: messageOf(error) })
    }
  }
  const { generate } = await import('selfsigned')
  // Authorities are found by their name: with one name for all nodes, who trusts all of them would know only one.
  const name = `galgo self-signed ${randomBytes(8).toString('hex')}`
  const made = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + SELF_SIGNED_DAYS * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: names.map((host) =>
          isIP(host) === 0 ? { type: 2 as const, value: host } : { type: 7 as const, ip: host },
        ),
      },
    ],
  })
  try {
    replaceFile(files.key, made.private, 0o600)
    replaceFile(files.certificate, made.cert, 0o644)
  } catch (error) {
    throw directoryError(error, data)
  }
  return files
}

function replaceFile(path: string, text: string, mode: number): void {
  // A last newline: several of these put into one file are to be a file of several.
  writeFileSync(`${path}.new`, `${text.trimEnd()}\n`, { mode, flush: true })
  renameSync(`${path}.new`, path)
}
