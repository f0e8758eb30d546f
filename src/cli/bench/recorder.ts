// Latencies in microseconds, in an HDR histogram: three significant digits from 1 µs to hours, at a fixed size.
import { build, type Histogram } from 'hdr-histogram-js'

/** Milliseconds. */
export interface Percentiles {
  readonly min: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  readonly samples: number
}

const HIGHEST_MICROS = 3_600_000_000

export class Recorder {
  readonly #histogram: Histogram = build({
    bitBucketSize: 64,
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_MICROS,
    autoResize: false,
    numberOfSignificantValueDigits: 3,
  })

  record(ms: number): void {
    this.#histogram.recordValue(Math.min(HIGHEST_MICROS, Math.max(1, Math.round(ms * 1000))))
  }

  percentiles(): Percentiles | null {
    const histogram = this.#histogram
    if (histogram.totalCount === 0) return null
    // A bucket answers with its upper end, which may lie beyond what was really seen.
    const at = (percentile: number): number =>
      Math.min(histogram.getValueAtPercentile(percentile), histogram.maxValue) / 1000
    return {
      min: histogram.minNonZeroValue / 1000,
      mean: Math.round(histogram.mean) / 1000,
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: histogram.maxValue / 1000,
      samples: histogram.totalCount,
    }
  }
}
