// Lines of a byte stream, as bytes: a message need not be text. Bounded by the longest line, whatever the input is.

/** A line longer than this cannot be a message of any cluster: the largest frame is 32 MiB. */
export const LINE_SIZE_MAX = 64 * 1024 * 1024
const NEWLINE = 10

/** Yields lines without their line feed; the last one may lack it. Throws RangeError on a line that is too long. */
export async function* lines(
  input: AsyncIterable<Uint8Array | string>,
  sizeMax = LINE_SIZE_MAX,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder()
  let parts: Uint8Array[] = []
  let size = 0
  for await (const piece of input) {
    const chunk = typeof piece === 'string' ? encoder.encode(piece) : piece
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      check(size + end - from, sizeMax)
      const tail = chunk.subarray(from, end)
      yield size === 0 ? tail : join([...parts, tail], size + tail.length)
      parts = []
      size = 0
      from = end + 1
    }
    if (from === chunk.length) continue
    parts.push(chunk.subarray(from))
    size += chunk.length - from
    check(size, sizeMax)
  }
  if (size > 0) yield join(parts, size)
}

function check(size: number, sizeMax: number): void {
  if (size > sizeMax) throw new RangeError(`a line of standard input is longer than ${sizeMax} bytes`)
}

function join(parts: readonly Uint8Array[], size: number): Uint8Array {
  const line = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    line.set(part, at)
    at += part.length
  }
  return line
}

/** Passes chunks on until the signal is aborted, also while the input is silent. */
export async function* until<T>(stop: AbortSignal, input: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = input[Symbol.asyncIterator]()
  let wake = (): void => {}
  const onAbort = (): void => wake()
  stop.addEventListener('abort', onAbort, { once: true })
  try {
    while (!stop.aborted) {
      // Not a race with a promise that outlives it: that would keep every chunk there ever was.
      const next = await new Promise<IteratorResult<T> | null>((resolve, reject) => {
        wake = () => resolve(null)
        iterator.next().then(resolve, reject)
      })
      if (next === null || next.done === true) return
      yield next.value
    }
  } finally {
    stop.removeEventListener('abort', onAbort)
  }
}
