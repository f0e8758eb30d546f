import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
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

test('what has passed is not kept', async () => {
  const kept = new Set<number>()
  const registry = new FinalizationRegistry<number>((i) => kept.delete(i))
  const input = (async function* () {
    for (let i = 0; i < 100; i++) {
      const chunk = { i }
      kept.add(i)
      registry.register(chunk, i)
      yield chunk
    }
  })()
  const passing = until(new AbortController().signal, input)
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < 90; i++) await passing.next()
  // A collection, and what is called after it, take their turns.
  for (let i = 0; i < 20 && kept.size > 10; i++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(kept.size <= 10, `${kept.size} of 90 chunks are kept`)
  await passing.return(undefined)
})
