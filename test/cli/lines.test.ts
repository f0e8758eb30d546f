import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { lines, until } from '../../src/cli/lines.ts'

async function* chunks<T>(...pieces: T[]): AsyncGenerator<T> {
  yield* pieces
}

async function split(...pieces: (string | Uint8Array)[]): Promise<string[]> {
  const found: string[] = []
  for await (const line of lines(chunks(...pieces))) found.push(Buffer.from(line).toString('latin1'))
  return found
}

test('a line ends at its line feed, the last one at the end', async () => {
  assert.deepEqual(await split('a\nb'), ['a', 'b'])
  assert.deepEqual(await split('a\nb\n'), ['a', 'b'])
  assert.deepEqual(await split('\n\nx'), ['', '', 'x'])
  assert.deepEqual(await split(), [])
  assert.deepEqual(await split(''), [])
})

test('bytes that are no text pass as they are', async () => {
  assert.deepEqual(await split(Uint8Array.of(0xff, 0x00, 0x0a, 0xfe)), ['\xff\x00', '\xfe'])
})

test('it does not matter where the chunks are cut', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 20 }), async (pieces) => {
      const whole = Buffer.concat(pieces).toString('latin1')
      const expected = whole.split('\n')
      if (expected.at(-1) === '') expected.pop()
      assert.deepEqual(await split(...pieces), expected)
    }),
  )
})

test('a line beyond the limit is refused before it is kept whole', async () => {
  const read = async (...pieces: string[]): Promise<void> => {
    for await (const _ of lines(chunks(...pieces), 5));
  }
  await assert.rejects(read('123', '456'), RangeError)
  await assert.rejects(read('123456\n'), RangeError)
  await read('12345\n12345')
})

test('an abort ends a silent input', async () => {
  const stop = new AbortController()
  const silent: AsyncIterable<string> = {
    [Symbol.asyncIterator]: () => ({ next: () => new Promise<IteratorResult<string>>(() => {}) }),
  }
  const read = (async () => {
    const seen: string[] = []
    for await (const chunk of until(stop.signal, silent)) seen.push(chunk)
    return seen
  })()
  stop.abort()
  assert.deepEqual(await read, [])
})

test('without an abort everything passes', async () => {
  const seen: number[] = []
  for await (const chunk of until(new AbortController().signal, chunks(1, 2, 3))) seen.push(chunk)
  assert.deepEqual(seen, [1, 2, 3])
})
