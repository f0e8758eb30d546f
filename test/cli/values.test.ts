import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InvalidArgumentError } from 'commander'
import { addressList, bytes, duration, from, header, oneOf, whole } from '../../src/cli/values.ts'

const refuses = (parse: (text: string) => unknown, ...texts: string[]): void => {
  for (const text of texts) assert.throws(() => parse(text), InvalidArgumentError, `"${text}" was taken`)
}

test('whole numbers are digits within their range', () => {
  assert.equal(whole(0, 10)('7'), 7)
  refuses(whole(1, 10), '', ' ', '0', '11', '-1', '1.5', '1e1', '0x5', 'seven')
})

test('sizes take binary and decimal units', () => {
  const size = bytes(1, 2 ** 40)
  assert.equal(size('1024'), 1024)
  assert.equal(size('1KiB'), 1024)
  assert.equal(size('1k'), 1024)
  assert.equal(size('1kB'), 1000)
  assert.equal(size('1.5 MiB'), 1.5 * 1024 * 1024)
  assert.equal(size('2GB'), 2_000_000_000)
  refuses(size, '', '0', '-1', '1 potato', 'KiB', '9999999TiB')
})

test('durations take units and mean seconds without one', () => {
  const time = duration(1, 3_600_000)
  assert.equal(time('250ms'), 250)
  assert.equal(time('1.5s'), 1500)
  assert.equal(time('10'), 10_000)
  assert.equal(time('2m'), 120_000)
  refuses(time, '', '0', '-1s', '2h', '1d', 's')
})

test('a place to begin is a word, an offset or a time', () => {
  assert.equal(from('first'), 'first')
  assert.equal(from('last'), 'last')
  assert.equal(from('next'), 'next')
  assert.deepEqual(from('offset:42'), { offset: 42 })
  assert.deepEqual(from('time:2026-01-31T12:00:00Z'), { time: new Date('2026-01-31T12:00:00Z') })
  refuses(from, '', 'middle', 'offset:', 'offset:-1', 'offset:x', 'offset:99999999999999999', 'time:', 'time:noon')
})

test('headers gather under their names', () => {
  assert.deepEqual(header('b=2', header('a=1=x')), { a: '1=x', b: '2' })
  refuses(header, 'a', '=1', 'a=', '')
})

test('a list of nodes is host:port with commas', () => {
  assert.deepEqual(addressList('127.0.0.1:8090, node-2:8091,[::1]:8092,'), [
    '127.0.0.1:8090',
    'node-2:8091',
    '[::1]:8092',
  ])
  refuses(addressList, '', ',', '127.0.0.1', 'host:', ':8090', 'host:99999', 'a:1 b:2', '::1:8090')
})

test('a choice names what there is to choose', () => {
  assert.equal(oneOf('text', 'json')('json'), 'json')
  assert.throws(() => oneOf('1', '3', '5')('2'), /It must be 1, 3 or 5\./)
})
