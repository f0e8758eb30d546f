// stats: NonReplicated, code 10.
//
//   request: empty
//   reply
//   | size | field                                   |      | size | field                              |
//   |   4  | process id                              |      | 4+n  | host name                          |
//   |   4  | CPU usage of the process, f32 %         |      | 4+n  | operating system                   |
//   |   4  | CPU usage of the machine, f32 %         |      | 4+n  | its version                        |
//   |   8  | memory of the process                   |      | 4+n  | kernel version                     |
//   |   8  | memory of the machine                   |      | 4+n  | server version                     |
//   |   8  | memory available                        |      |   4  | server version as a number, 0 none |
//   |   8  | run time, µs                            |      |   4  | number of cache entries            |
//   |   8  | start time, µs since 1970               |      | 32x  | cache entry: stream 4, topic 4,    |
//   |   8  | bytes read                              |      |      |   partition 4, hits 8, misses 8,   |
//   |   8  | bytes written                           |      |      |   hit ratio f32                    |
//   |   8  | bytes of messages                       |      |   4  | threads                            |
//   | 4x4  | streams, topics, partitions, segments   |      |   8  | disk space free                    |
//   |   8  | messages                                |      |   8  | disk space                         |
//   | 2x4  | clients, consumer groups                |
import type { Reader, Writer } from '../bytes.ts'

const CACHE_ENTRY_SIZE = 32

export interface Stats {
  readonly processId: number
  readonly cpuUsage: number
  readonly totalCpuUsage: number
  readonly memoryUsage: number
  readonly totalMemory: number
  readonly availableMemory: number
  /** µs. */
  readonly runTime: number
  /** µs since 1970. */
  readonly startTime: number
  readonly readBytes: number
  readonly writtenBytes: number
  readonly messagesSize: number
  readonly streams: number
  readonly topics: number
  readonly partitions: number
  readonly segments: number
  readonly messages: number
  readonly clients: number
  readonly consumerGroups: number
  readonly hostname: string
  readonly osName: string
  readonly osVersion: string
  readonly kernelVersion: string
  readonly serverVersion: string
  readonly serverVersionNumber: number
  readonly threads: number
  readonly freeDiskSpace: number
  readonly totalDiskSpace: number
}

export function decodeStats(reader: Reader): void {
  reader.finish()
}

export function encodeStatsReply(writer: Writer, stats: Stats): void {
  writer.u32(stats.processId).f32(stats.cpuUsage).f32(stats.totalCpuUsage)
  writer.u64(stats.memoryUsage).u64(stats.totalMemory).u64(stats.availableMemory)
  writer.u64(stats.runTime).u64(stats.startTime).u64(stats.readBytes).u64(stats.writtenBytes).u64(stats.messagesSize)
  writer.u32(stats.streams).u32(stats.topics).u32(stats.partitions).u32(stats.segments)
  writer.u64(stats.messages).u32(stats.clients).u32(stats.consumerGroups)
  writer.text32(stats.hostname).text32(stats.osName).text32(stats.osVersion).text32(stats.kernelVersion)
  writer.text32(stats.serverVersion).u32(stats.serverVersionNumber)
  writer.u32(0)
  writer.u32(stats.threads).u64(stats.freeDiskSpace).u64(stats.totalDiskSpace)
}

/** Cache entries (Iggy's; this server sends none) are checked and skipped. */
export function decodeStatsReply(reader: Reader): Stats {
  const head = {
    processId: reader.u32(),
    cpuUsage: reader.f32(),
    totalCpuUsage: reader.f32(),
    memoryUsage: reader.u64(),
    totalMemory: reader.u64(),
    availableMemory: reader.u64(),
    runTime: reader.u64(),
    startTime: reader.u64(),
    readBytes: reader.u64(),
    writtenBytes: reader.u64(),
    messagesSize: reader.u64(),
    streams: reader.u32(),
    topics: reader.u32(),
    partitions: reader.u32(),
    segments: reader.u32(),
    messages: reader.u64(),
    clients: reader.u32(),
    consumerGroups: reader.u32(),
    hostname: reader.text32(),
    osName: reader.text32(),
    osVersion: reader.text32(),
    kernelVersion: reader.text32(),
    serverVersion: reader.text32(),
    serverVersionNumber: reader.u32(),
  }
  reader.skip(reader.count(CACHE_ENTRY_SIZE) * CACHE_ENTRY_SIZE)
  const stats = { ...head, threads: reader.u32(), freeDiskSpace: reader.u64(), totalDiskSpace: reader.u64() }
  reader.finish()
  return stats
}
