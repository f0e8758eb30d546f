import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostOf } from '../../src/state/host.ts'

test('the port says nothing of a host', () => {
  assert.equal(hostOf('10.0.0.1:4711'), '10.0.0.1')
  assert.equal(hostOf('10.0.0.1'), '10.0.0.1')
  assert.equal(hostOf('[::ffff:10.0.0.1]:4711'), '10.0.0.1')
})

test('of IPv6 the network counts, however it is written', () => {
  const network = '2001:db8:0:1::/64'
  for (const host of ['2001:db8:0:1::', '2001:db8:0:1::2', '2001:db8:0:1:5:6:7:8', '2001:db8:0:1:ffff::1'])
    assert.equal(hostOf(`[${host}]:80`), network)
  assert.notEqual(hostOf('[2001:db8:0:2::2]:80'), network)
  assert.equal(hostOf('[2001:db8::1:5:6:7:8]:80'), '2001:db8:0:1::/64')
  assert.equal(hostOf('[2001:db8::2]:80'), '2001:db8:0:0::/64')
  assert.equal(hostOf('[::1]:80'), hostOf('[::2]:80'))
})
