// A node's configuration: defaults, then the TOML file, then GALGO_* variables, then flags; the later wins.
// Every key does something; an unknown one is an error that names the nearest known one.
// The replica's index, the cluster and all sizes on disk are not here: they are fixed in the superblock by `galgo format`.
import { readFileSync } from 'node:fs'
import { parse, TomlError } from 'smol-toml'
import { z } from 'zod'
import { type Address, formatAddress, parseAddress } from './address.ts'
import { messageOf, ServerError, systemCode } from './errors.ts'

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

const whole = (min: number, max: number) => z.number().int().min(min).max(max)

const fileSchema = z.strictObject({
  /** Data directory of this node. */
  data: z.string().min(1).optional(),
  /** Replica addresses of the whole cluster, in the order of the replica indexes. */
  addresses: z.array(z.string()).min(1).optional(),
  /** Where clients connect in plain TCP; "off" for not at all. */
  client: z.string().default('127.0.0.1:8090'),
  /** What cluster metadata tells clients to connect to; as `client` when absent. */
  advertise: z.string().optional(),
  /** Where /health, /status, the simulator's page and the REST API are served; "off" for not at all. */
  http: z.string().default('127.0.0.1:3000'),
  /** "auto" takes io_uring where it runs. */
  driver: z.enum(['auto', 'io_uring', 'portable']).default('auto'),
  /** CPUs of the replica thread: "auto" leaves it to the kernel; or a list like "0-3,6". */
  cpu: z.string().default('auto'),
  tls: z
    .strictObject({
      /** Where clients connect over TLS; nowhere when absent. */
      address: z.string().optional(),
      /** PEM file: the node's certificate and those between it and its authority; or "self-signed". Read again when it changes. */
      certificate: z.string().min(1).optional(),
      /** PEM file: the private key of the certificate. */
      key: z.string().min(1).optional(),
      /** The port of `address` as clients see it; the host is that of `advertise`. */
      advertise_port: whole(1, 65_535).optional(),
    })
    .prefault({}),
  websocket: z
    .strictObject({
      /** Where clients connect by WebSocket; nowhere when absent. */
      address: z.string().optional(),
      /** Over TLS, with the certificate of `tls`. */
      tls: z.boolean().default(false),
      /** The port of `address` as clients see it; the host is that of `advertise`. */
      advertise_port: whole(1, 65_535).optional(),
      /** Whose pages may connect, as browsers name their origin; "*" for all. Programs have no origin. */
      origins: z.array(z.string().min(1)).default([]),
    })
    .prefault({}),
  root: z
    .strictObject({
      username: z.string().min(3).max(50).default('iggy'),
      password: z.string().min(3).max(100).default('iggy'),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(LOG_LEVELS).default('info'),
      /** Appended to; standard error when absent. */
      file: z.string().min(1).optional(),
    })
    .prefault({}),
  limits: z
    .strictObject({
      /** Client connections at once; one more is closed at once. */
      connections: whole(1, 65_536).default(1024),
      /** Of these from one address, or one IPv6 network of 64 bits. Three quarters of all when absent. */
      connections_per_address: whole(1, 65_536).optional(),
      /** HTTP connections at once; one more is answered with 503 and closed. */
      http_connections: whole(1, 4096).default(256),
      /** Of these from one address, or one IPv6 network of 64 bits; one more is answered with 429. A quarter of all when absent. */
      http_connections_per_address: whole(1, 4096).optional(),
      /** Reply bytes that may wait for one client that does not read them; beyond, it is disconnected. */
      send_queue_bytes: whole(65_536, 1_073_741_824).default(16 * 1024 * 1024),
      /** A frame must arrive whole within this time plus one second per MiB. */
      frame_timeout_ms: whole(100, 600_000).default(10_000),
      /** A new connection must have sent its first whole frame within this time. */
      first_frame_timeout_ms: whole(100, 600_000).default(30_000),
      /** A client that sends nothing for so long is disconnected; SDKs ping more often. */
      idle_timeout_ms: whole(1000, 86_400_000).default(600_000),
      /** The oldest waiting reply must have been taken by its client within this time. */
      send_timeout_ms: whole(100, 600_000).default(30_000),
      /** Buffers of the largest frame's size kept for clients, on top of what replication needs. */
      large_buffers: whole(4, 512).default(32),
      /** How long a stop waits for writes in flight. */
      stop_timeout_ms: whole(100, 600_000).default(5_000),
    })
    .prefault({}),
})

type FileConfig = z.infer<typeof fileSchema>

export interface NodeConfig {
  readonly data: string
  readonly addresses: readonly Address[]
  /** null: no plain TCP. */
  readonly client: Address | null
  /** A port of 0: the one that `client` got. */
  readonly advertise: Address
  readonly tls: TlsConfig | null
  readonly websocket: WebSocketConfig | null
  /** null: nothing here speaks TLS. */
  readonly certificate: CertificateSource | null
  readonly http: Address | null
  readonly driver: 'auto' | 'io_uring' | 'portable'
  /** Empty: wherever the kernel likes. */
  readonly cpus: readonly number[]
  readonly root: { readonly username: string; readonly password: string }
  readonly log: { readonly level: (typeof LOG_LEVELS)[number]; readonly file: string | null }
  readonly limits: NodeLimits
  /** Durability `memory`, after a power cut: go on without what only nodes that are away may hold. */
  readonly acceptLoss: boolean
}

export interface TlsConfig {
  readonly address: Address
  /** 0: the one that `address` got. */
  readonly advertisePort: number
}

export interface WebSocketConfig extends TlsConfig {
  readonly tls: boolean
  readonly origins: readonly string[]
}

/** Two PEM files; or, for development, a certificate that nobody signed but the node itself. */
export type CertificateSource = 'self-signed' | { readonly certificate: string; readonly key: string }

export interface NodeLimits {
  readonly connections: number
  readonly connectionsPerAddress: number
  readonly httpConnections: number
  readonly httpConnectionsPerAddress: number
  readonly sendQueueBytes: number
  readonly frameTimeoutMs: number
  readonly firstFrameTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly sendTimeoutMs: number
  readonly largeBuffers: number
  readonly stopTimeoutMs: number
}

/** What the command line may say; absent means "as the file or the default says". */
export interface ConfigFlags {
  readonly config?: string | undefined
  readonly data?: string | undefined
  readonly addresses?: string | readonly string[] | undefined
  readonly client?: string | undefined
  readonly advertise?: string | undefined
  readonly http?: string | undefined
  readonly tls?: string | undefined
  readonly tlsCertificate?: string | undefined
  readonly tlsKey?: string | undefined
  readonly websocket?: string | undefined
  readonly websocketTls?: boolean | undefined
  readonly driver?: string | undefined
  readonly cpu?: string | undefined
  readonly logLevel?: string | undefined
  readonly logFile?: string | undefined
  /** Only here: nobody wants to say this twice. */
  readonly acceptLoss?: boolean | undefined
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Every key that a file may hold, as a path: the vocabulary of suggestions and of GALGO_* variables. */
const KEYS: readonly string[] = Object.entries(fileSchema.shape).flatMap(([name, schema]) => {
  const section = sectionShape(schema)
  return section === null ? [name] : Object.keys(section).map((key) => `${name}.${key}`)
})

const NUMBER_KEYS = new Set(KEYS.filter((key) => key.startsWith('limits.') || key.endsWith('.advertise_port')))
const LIST_KEYS: ReadonlySet<string> = new Set(['addresses', 'websocket.origins'])

export function loadConfig(flags: ConfigFlags, environment: Environment): NodeConfig {
  const tree: Record<string, unknown> = flags.config === undefined ? {} : readTree(flags.config)
  for (const key of KEYS) {
    const name = `GALGO_${key.replace('.', '_').toUpperCase()}`
    const text = environment[name]
    if (text !== undefined && text !== '') put(tree, key, fromText(key, text))
  }
  const given: Record<string, unknown> = {
    data: flags.data,
    addresses: typeof flags.addresses === 'string' ? splitList(flags.addresses) : flags.addresses,
    client: flags.client,
    advertise: flags.advertise,
    http: flags.http,
    'tls.address': flags.tls,
    'tls.certificate': flags.tlsCertificate,
    'tls.key': flags.tlsKey,
    'websocket.address': flags.websocket,
    'websocket.tls': flags.websocketTls,
    driver: flags.driver,
    cpu: flags.cpu,
    'log.level': flags.logLevel,
    'log.file': flags.logFile,
  }
  for (const [key, value] of Object.entries(given)) if (value !== undefined) put(tree, key, value)

  const source = flags.config ?? 'configuration'
  const parsed = fileSchema.safeParse(tree)
  if (!parsed.success) throw new ServerError('bad-config', explain(source, tree, parsed.error))
  return resolve(parsed.data, flags)
}

function resolve(file: FileConfig, { acceptLoss = false }: ConfigFlags): NodeConfig {
  if (file.data === undefined) {
    throw new ServerError('bad-config', 'no data directory is given; name it with --data DIR or the key "data"')
  }
  if (file.addresses === undefined) {
    throw new ServerError(
      'bad-config',
      'no replica addresses are given; name those of all nodes in order with --addresses A0,A1,A2 or the key "addresses"',
    )
  }
  if (![1, 3, 5].includes(file.addresses.length)) {
    throw new ServerError(
      'bad-config',
      `a cluster has 1, 3 or 5 replicas, but ${file.addresses.length} addresses are given`,
    )
  }
  const addresses = file.addresses.map((text, i) => parseAddress(text, `replica address ${i}`))
  const client = file.client === 'off' ? null : parseAddress(file.client, 'the client address (--client)')
  const { tls, websocket } = resolveTransports(file)
  const anyone = client ?? tls?.address ?? websocket?.address
  if (anyone === undefined) {
    throw new ServerError(
      'bad-config',
      'no client could connect: "client" is off, and neither "tls.address" nor "websocket.address" is given',
    )
  }
  const http = file.http === 'off' ? null : parseAddress(file.http, 'the HTTP address (--http)')
  checkDistinct([
    ...addresses.map((address) => ['of a replica', address] as const),
    ['for clients (--client)', client],
    ['for TLS (--tls)', tls?.address ?? null],
    ['for WebSockets (--websocket)', websocket?.address ?? null],
    ['for HTTP (--http)', http],
  ])
  return {
    data: file.data,
    addresses,
    client,
    advertise:
      file.advertise === undefined ? anyone : parseAddress(file.advertise, 'the advertised address (--advertise)'),
    tls,
    websocket,
    certificate: certificateOf(file),
    http,
    driver: file.driver,
    cpus: parseCpus(file.cpu),
    acceptLoss,
    root: file.root,
    log: { level: file.log.level, file: file.log.file ?? null },
    limits: {
      connections: file.limits.connections,
      connectionsPerAddress: file.limits.connections_per_address ?? Math.ceil((3 * file.limits.connections) / 4),
      httpConnections: file.limits.http_connections,
      httpConnectionsPerAddress:
        file.limits.http_connections_per_address ?? Math.ceil(file.limits.http_connections / 4),
      sendQueueBytes: file.limits.send_queue_bytes,
      frameTimeoutMs: file.limits.frame_timeout_ms,
      firstFrameTimeoutMs: file.limits.first_frame_timeout_ms,
      idleTimeoutMs: file.limits.idle_timeout_ms,
      sendTimeoutMs: file.limits.send_timeout_ms,
      largeBuffers: file.limits.large_buffers,
      stopTimeoutMs: file.limits.stop_timeout_ms,
    },
  }
}

/** Else the node finds its own port taken, and says that it is another process's. */
function checkDistinct(given: readonly (readonly [what: string, address: Address | null])[]): void {
  const seen = new Map<string, string>()
  for (const [what, address] of given) {
    if (address === null || address.port === 0) continue
    const text = formatAddress(address)
    const other = seen.get(text)
    if (other !== undefined)
      throw new ServerError(
        'bad-config',
        `${text} is given twice, ${other} and ${what}; each needs an address of its own`,
      )
    seen.set(text, what)
  }
}

function resolveTransports({ tls, websocket }: FileConfig): {
  readonly tls: TlsConfig | null
  readonly websocket: WebSocketConfig | null
} {
  return {
    tls:
      tls.address === undefined
        ? null
        : { address: parseAddress(tls.address, 'the TLS address (--tls)'), advertisePort: tls.advertise_port ?? 0 },
    websocket:
      websocket.address === undefined
        ? null
        : {
            address: parseAddress(websocket.address, 'the WebSocket address (--websocket)'),
            advertisePort: websocket.advertise_port ?? 0,
            tls: websocket.tls,
            origins: websocket.origins,
          },
  }
}

/** Whatever is said about TLS has to come to something: half of it would be a node that is less safe than it looks. */
function certificateOf({
  tls: { address, certificate, key, advertise_port },
  websocket,
}: FileConfig): CertificateSource | null {
  const wrong = (what: string): ServerError => new ServerError('bad-config', what)
  if (
    websocket.address === undefined &&
    (websocket.tls || websocket.advertise_port !== undefined || websocket.origins.length > 0)
  )
    throw wrong('keys of "websocket" are given, but not where to listen; add "websocket.address" (--websocket)')
  if (address === undefined && advertise_port !== undefined)
    throw wrong('"tls.advertise_port" is given, but not where to listen; add "tls.address" (--tls)')
  const used = address !== undefined || websocket.tls
  if (certificate === undefined) {
    if (key !== undefined) throw wrong('"tls.key" is given without its certificate; add "tls.certificate"')
    if (!used) return null
    throw wrong(
      'TLS needs a certificate; name its PEM files with "tls.certificate" and "tls.key" (--tls-certificate, --tls-key), or write "self-signed" for development',
    )
  }
  if (!used)
    throw wrong(
      '"tls.certificate" is given, but nothing listens with it; add "tls.address" (--tls) or "websocket.tls" (--websocket-tls)',
    )
  if (certificate === 'self-signed') {
    if (key === undefined) return certificate
    throw wrong('a self-signed certificate brings its own key; remove "tls.key", or name the file of the certificate')
  }
  if (key === undefined) throw wrong('"tls.certificate" is given without its private key; add "tls.key" (--tls-key)')
  return { certificate, key }
}

function readTree(path: string): Record<string, unknown> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const why = systemCode(error) === 'ENOENT' ? 'there is no such file' : messageOf(error)
    throw new ServerError('bad-config', `cannot read the configuration ${path}: ${why}`, { cause: error })
  }
  try {
    return parse(text) as Record<string, unknown>
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const what = (error.message.split('\n')[0] as string).replace('Invalid TOML document: ', '')
    throw new ServerError('bad-config', `${path}, line ${error.line}, column ${error.column}: not TOML: ${what}`, {
      cause: error,
    })
  }
}

function put(tree: Record<string, unknown>, key: string, value: unknown): void {
  const [head, tail] = key.split('.') as [string, string?]
  if (tail === undefined) {
    tree[head] = value
    return
  }
  const section = tree[head]
  if (typeof section === 'object' && section !== null) (section as Record<string, unknown>)[tail] = value
  else if (section === undefined) tree[head] = { [tail]: value }
  // anything else is not a section: the schema will say so
}

function fromText(key: string, text: string): unknown {
  if (LIST_KEYS.has(key)) return splitList(text)
  if (key === 'websocket.tls' && (text === 'true' || text === 'false')) return text === 'true'
  if (!NUMBER_KEYS.has(key)) return text
  const value = Number(text)
  return Number.isNaN(value) ? text : value
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** "auto", "3", "0-3", "0-1,4". */
export function parseCpus(text: string): number[] {
  if (text === 'auto') return []
  const cpus = new Set<number>()
  for (const part of text.split(',')) {
    const match = /^\s*(\d{1,4})(?:-(\d{1,4}))?\s*$/.exec(part)
    const first = Number(match?.[1])
    const last = match?.[2] === undefined ? first : Number(match[2])
    if (match === null || last < first || last > 1023) {
      throw new ServerError('bad-config', `the key "cpu" must be "auto" or CPU numbers like "0-3,6", but is "${text}"`)
    }
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu)
  }
  return [...cpus].sort((a, b) => a - b)
}

function explain(source: string, tree: Record<string, unknown>, error: z.ZodError): string {
  const issue = error.issues[0] as z.core.$ZodIssue
  const path = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const key = [...issue.path, issue.keys[0]].join('.')
    const nearest = nearestKey(key)
    return `${source}: unknown key "${key}"${nearest === null ? '' : `; did you mean "${nearest}"?`}`
  }
  const is = issue.path.reduce<unknown>(
    (node, part) => (node as Record<PropertyKey, unknown> | undefined)?.[part],
    tree,
  )
  // This goes to logs that others read.
  const value = issue.path[0] === 'root' ? 'not usable' : JSON.stringify(is)
  return `${source}: the key "${path}" is ${value}: ${issue.message}`
}

/** The known key with the smallest edit distance, if it is near enough to be a slip of the finger. */
export function nearestKey(key: string): string | null {
  let best: string | null = null
  let distance = Math.max(3, Math.ceil(key.length / 2))
  for (const known of KEYS) {
    const last = known.split('.').at(-1) as string
    const d = Math.min(editDistance(key, known), editDistance(key.split('.').at(-1) as string, last) + 1)
    if (d < distance) {
      distance = d
      best = known
    }
  }
  return best
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replace, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}

function sectionShape(schema: z.ZodType): Record<string, unknown> | null {
  const inner = schema instanceof z.ZodPrefault ? schema.unwrap() : schema
  return inner instanceof z.ZodObject ? inner.shape : null
}
