// What stats tell of this process and machine.
import { readdirSync, statfsSync } from 'node:fs'
import { cpus, freemem, hostname, release, type as systemName, totalmem, version } from 'node:os'
import type { HostFacts } from '../state/reads.ts'
import { PROTOCOL_VERSION, VERSION } from './version.ts'

/** Main and replica thread. */
const OWN_THREADS = 2
const STARTED_MICROS = Date.now() * 1000
let last = { at: performance.now(), cpu: process.cpuUsage(), idle: idleMs() }
let usage = { process: 0, machine: 0 }

/** CPU shares are those since the last call that was at least a second ago. `data` is on the disk whose space counts. */
export function hostFacts(data: string): HostFacts {
  measure()
  const { bavail, blocks, bsize } = space(data)
  return {
    processId: process.pid,
    cpuUsage: usage.process,
    totalCpuUsage: usage.machine,
    memoryUsage: residentBytes(),
    totalMemory: totalmem(),
    availableMemory: freemem(),
    runTime: Date.now() * 1000 - STARTED_MICROS,
    startTime: STARTED_MICROS,
    readBytes: process.resourceUsage().fsRead * 512,
    writtenBytes: process.resourceUsage().fsWrite * 512,
    hostname: hostname(),
    osName: systemName(),
    osVersion: version(),
    kernelVersion: release(),
    serverVersion: VERSION,
    serverVersionNumber: PROTOCOL_VERSION,
    threads: threads(),
    freeDiskSpace: bavail * bsize,
    totalDiskSpace: blocks * bsize,
  }
}

/** Zeros when the directory cannot be found: what becomes of the node then is its disk's to say. */
function space(data: string): { bavail: number; blocks: number; bsize: number } {
  try {
    return statfsSync(data)
  } catch {
    return { bavail: 0, blocks: 0, bsize: 0 }
  }
}

/** Reading it takes a descriptor, which there may be none of: then the most that it ever was. */
function residentBytes(): number {
  try {
    return process.memoryUsage.rss()
  } catch {
    return process.resourceUsage().maxRSS * 1024
  }
}

/** Of this process, with those of the runtime and the kernel's for its ring; where nobody tells, those that a node makes itself. */
function threads(): number {
  try {
    return readdirSync('/proc/self/task').length
  } catch {
    return OWN_THREADS
  }
}

function measure(): void {
  const at = performance.now()
  const elapsed = at - last.at
  if (elapsed < 1000) return
  const { user, system } = process.cpuUsage(last.cpu)
  const idle = idleMs()
  const cores = cpus().length
  usage = {
    process: (user + system) / 10 / elapsed,
    machine: Math.max(0, 100 - ((idle - last.idle) / (elapsed * cores)) * 100),
  }
  last = { at, cpu: process.cpuUsage(), idle }
}

function idleMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.idle, 0)
}
