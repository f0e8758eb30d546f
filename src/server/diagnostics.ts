// The archive for support: a small ZIP of what this node is, how it is configured, how it is doing, and what it last said.
// Made on the main thread, bounded in size and time. Nothing secret goes in: no passwords, no keys, no tokens, no messages, no
// environment, no command lines of other processes.
import { lstat, readdir, readFile } from 'node:fs/promises'
import { arch, cpus, loadavg, platform, uptime } from 'node:os'
import { join } from 'node:path'
import { type Zippable, zipSync } from 'fflate'
import type { SnapshotPart } from '../protocol/commands/snapshot.ts'
import type { DiagnosticsOrder } from '../state/diagnostics.ts'
import type { NodeConfig } from './config.ts'
import { messageOf } from './errors.ts'
import type { NodeStatus } from './status.ts'
import { PROTOCOL_VERSION, RELEASE, VERSION } from './version.ts'

const FILES_MAX = 5000
const FILES_TIME_MS = 2000
/** Each try has half as many lines and files as the one before. */
const TRIES = 8

export interface DiagnosticsSources {
  readonly config: NodeConfig
  readonly status: () => Promise<NodeStatus>
  /** Of all threads. */
  readonly lines: readonly string[]
}

/** null when not even an archive without a log and files fits. */
export async function makeArchive(order: DiagnosticsOrder, sources: DiagnosticsSources): Promise<Uint8Array | null> {
  const wants = (part: SnapshotPart): boolean => order.parts.includes('all') || order.parts.includes(part)
  const { config } = sources
  const fixed: Record<string, unknown> = {
    'status.json': await sources.status().catch((error: unknown) => ({ error: messageOf(error) })),
    'cluster.json': order.cluster,
    ...(wants('configuration') && { 'config.json': withoutSecrets(config) }),
    ...(wants('processes') && { 'process.json': await processFacts() }),
    ...(wants('resources') && { 'stats.json': order.stats, 'host.json': hostOf() }),
  }
  const found = wants('files') ? await listFiles(config.data) : null
  const lines = wants('logs') ? byTime(sources.lines) : null
  for (let tries = 0; tries < TRIES; tries++) {
    const share = 2 ** -tries
    const files = found === null ? null : found.files.slice(0, Math.ceil(found.files.length * share))
    const last = lines === null ? null : lines.slice(lines.length - Math.ceil(lines.length * share))
    const entries: Record<string, string> = {}
    const add = (name: string, value: unknown): void => {
      entries[name] = `${JSON.stringify(value, null, 2)}\n`
    }
    for (const [name, value] of Object.entries(fixed)) add(name, value)
    if (found !== null && files !== null)
      add('files.json', { ...found, files, notListed: found.files.length - files.length })
    if (last !== null) entries['log.jsonl'] = last.map((line) => `${line}\n`).join('')
    const leftOut = {
      logLines: (lines?.length ?? 0) - (last?.length ?? 0),
      files: (found?.files.length ?? 0) - (files?.length ?? 0),
    }
    const about = {
      made: new Date().toISOString(),
      galgo: VERSION,
      release: RELEASE,
      protocol: PROTOCOL_VERSION,
      node: process.version,
      parts: order.parts,
      contents: Object.keys(entries),
      leftOut,
    }
    const archive = zip({ 'about.json': `${JSON.stringify(about, null, 2)}\n`, ...entries }, order.compression)
    if (archive.length <= order.sizeMax) return archive
  }
  return null
}

function zip(entries: Readonly<Record<string, string>>, compression: DiagnosticsOrder['compression']): Uint8Array {
  const encoder = new TextEncoder()
  const level = compression === 'stored' ? 0 : 6
  const files: Zippable = {}
  for (const [name, text] of Object.entries(entries)) files[name] = [encoder.encode(text), { level }]
  return zipSync(files)
}

const SECRET = /password|secret|token|credential|^key$/i
const REMOVED = '(removed)'

/** A copy in which everything that is named like a secret has no value. */
export function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, SECRET.test(name) ? REMOVED : withoutSecrets(inner)]),
  )
}

async function processFacts() {
  return {
    pid: process.pid,
    node: process.version,
    versions: process.versions,
    uptimeSeconds: process.uptime(),
    memory: process.memoryUsage(),
    memoryMax: process.constrainedMemory(),
    usage: process.resourceUsage(),
    limits: await textOf('/proc/self/limits'),
  }
}

function hostOf() {
  const processors = cpus()
  return {
    platform: platform(),
    architecture: arch(),
    processors: processors.length,
    processor: processors[0]?.model ?? '',
    load: loadavg(),
    uptimeSeconds: uptime(),
  }
}

/** As lines; null where there is no such file. */
async function textOf(path: string): Promise<string[] | null> {
  try {
    return (await readFile(path, 'utf8')).trimEnd().split('\n')
  } catch {
    return null
  }
}

interface FileFacts {
  readonly path: string
  readonly bytes: number
  readonly modified: string
}

/** Breadth first: what is near the top says most. Stops when there is too much, or it takes too long. */
async function listFiles(data: string): Promise<{ data: string; bytes: number; whole: boolean; files: FileFacts[] }> {
  const deadline = performance.now() + FILES_TIME_MS
  const files: FileFacts[] = []
  const folders = ['']
  let bytes = 0
  let whole = true
  for (let folder = folders.shift(); folder !== undefined; folder = folders.shift()) {
    const entries = await readdir(join(data, folder), { withFileTypes: true }).catch(() => [])
    for (const entry of entries) {
      const path = join(folder, entry.name)
      if (files.length + folders.length >= FILES_MAX || performance.now() > deadline) {
        whole = false
        break
      }
      if (entry.isDirectory()) folders.push(path)
      // It may be gone by now.
      const facts = entry.isFile() ? await lstat(join(data, path)).catch(() => null) : null
      if (facts === null) continue
      bytes += facts.size
      files.push({ path, bytes: facts.size, modified: facts.mtime.toISOString() })
    }
    if (!whole) break
  }
  return { data, bytes, whole, files }
}

/** Lines of several threads, in the order in which they were written. */
function byTime(lines: readonly string[]): string[] {
  const timeOf = (line: string): string => /"time":"([^"]+)"/.exec(line)?.[1] ?? ''
  return lines
    .map((line) => ({ line, time: timeOf(line) }))
    .toSorted((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
    .map(({ line }) => line)
}
