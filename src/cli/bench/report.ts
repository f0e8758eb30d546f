// What a benchmark says in the end: enough to judge the figures, and to repeat them.
import { count, fields } from '../render/table.ts'
import type { LoadResult } from './load.ts'
import type { Percentiles } from './recorder.ts'

export interface Endpoint {
  readonly servers: readonly string[]
  readonly serverVersion: string
  readonly nodes: number
  /** `disk`: on disk on a quorum before the acknowledgement. */
  readonly durability: string
  readonly driver: string
}

export interface Report {
  readonly benchmark: 'produce' | 'consume' | 'latency'
  readonly endpoint: Endpoint
  readonly settings: Readonly<Record<string, string | number | null>>
  readonly seconds: number
  readonly requests: number
  readonly messages: number
  readonly unsent: number
  readonly messagesPerSecond: number
  /** Payload only, in units of 1,000,000 bytes. */
  readonly megabytesPerSecond: number
  /** Milliseconds per request. */
  readonly latency: Percentiles | null
  readonly correctedForCoordinatedOmission: boolean
  readonly interrupted: boolean
}

export function makeReport(
  benchmark: Report['benchmark'],
  endpoint: Endpoint,
  settings: Report['settings'],
  result: LoadResult,
  latency: Percentiles | null,
  messageSize: number,
  rate: number | null,
  interrupted: boolean,
): Report {
  const seconds = result.elapsedMs / 1000
  const messagesPerSecond = seconds === 0 ? 0 : result.messages / seconds
  return {
    benchmark,
    endpoint,
    settings,
    seconds,
    requests: result.requests,
    messages: result.messages,
    unsent: result.unsent,
    messagesPerSecond,
    megabytesPerSecond: (messagesPerSecond * messageSize) / 1e6,
    latency,
    correctedForCoordinatedOmission: rate !== null,
    interrupted,
  }
}

export function renderReport(report: Report): string {
  const { endpoint, settings, latency } = report
  const ms = (value: number): string => `${value.toFixed(value < 10 ? 3 : value < 100 ? 2 : 1)} ms`
  const head = fields([
    ['benchmark', report.benchmark],
    [
      'cluster',
      `${endpoint.nodes} ${endpoint.nodes === 1 ? 'node' : 'nodes'}, galgo ${endpoint.serverVersion}, ${endpoint.driver}`,
    ],
    ['endpoints', endpoint.servers.join(', ')],
    ['durability', durability(endpoint)],
    [
      'settings',
      Object.entries(settings)
        .filter(([, value]) => value !== null)
        .map(([name, value]) => `${name} ${value}`)
        .join(', '),
    ],
  ])
  const body = fields([
    ['throughput', `${report.megabytesPerSecond.toFixed(1)} MB/s, ${count(report.messagesPerSecond)} messages/s`],
    ['messages', `${count(report.messages)} in ${count(report.requests)} requests, ${report.seconds.toFixed(2)} s`],
    ...(latency === null
      ? ([['latency', 'nothing was answered']] as const)
      : ([
          [
            'latency',
            `p50 ${ms(latency.p50)}, p90 ${ms(latency.p90)}, p99 ${ms(latency.p99)}, p99.9 ${ms(latency.p999)}, max ${ms(latency.max)}`,
          ],
          [
            '',
            report.correctedForCoordinatedOmission
              ? 'from the time a request was due (coordinated omission counts)'
              : 'from the sending of a request (closed loop)',
          ],
        ] as const)),
    ...(report.unsent > 0
      ? ([
          [
            'behind',
            `${count(report.unsent)} requests were due but never sent: the cluster did not keep up with the rate`,
          ],
        ] as const)
      : []),
    ...(report.interrupted ? ([['', 'interrupted: the figures are of the part that ran']] as const) : []),
  ])
  return `${head}\n${body}`
}

function durability({ durability: mode, nodes }: Endpoint): string {
  if (mode !== 'disk') return mode
  return nodes === 1 ? 'disk' : `disk on ${Math.floor(nodes / 2) + 1} of ${nodes} nodes before the acknowledgement`
}
