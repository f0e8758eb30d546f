// Ports that are given out are free, all of them.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { freePorts, takeBlock } from '../../chaos/ports.ts'

test('a block in which somebody listens already is not taken', async () => {
  const free = await takeBlock()
  free.guard.close()
  await once(free.guard, 'close')
  const squatter = createServer()
  const port = free.next + 40
  squatter.listen(port, '127.0.0.1')
  await once(squatter, 'listening')
  const taken = await takeBlock(free.next - 1)
  try {
    assert.ok(port < taken.next || port >= taken.end, `port ${port} is in the block from ${taken.next} to ${taken.end}`)
  } finally {
    taken.guard.close()
    squatter.close()
  }
})

test('nobody gets a port twice, also when two ask at once', async () => {
  const ports = (await Promise.all([freePorts(3), freePorts(2), freePorts(4)])).flat()
  assert.equal(new Set(ports).size, 9)
  await assert.rejects(freePorts(80), /a block has 79/)
})

test('who needs more than a block has gets another one', async () => {
  const ports = (await Promise.all([freePorts(60), freePorts(60), freePorts(60)])).flat()
  assert.equal(new Set(ports).size, 180)
})
