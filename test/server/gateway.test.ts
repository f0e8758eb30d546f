// The gateway alone, before a replica thread that is nothing but a listener.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { At } from '../../src/protocol/frame.ts'
import { loadConfig } from '../../src/server/config.ts'
import { Gateway } from '../../src/server/gateway.ts'
import { SECRET_SIZE } from '../../src/server/introduction.ts'
import { silentLog } from '../../src/server/log.ts'
import { Authority, dialRaw } from '../integration/transport-node.ts'

const FRAME_SIZE = 64 * 1024
/** More than sockets hold, all of them together. */
const FRAMES = 512

const SEND_TIMEOUT_MS = 500

for (const transport of ['tls', 'websocket', 'websocket over tls'] as const)
  for (const silentMs of [0, 2 * SEND_TIMEOUT_MS]) {
    test(`who takes no answers over ${transport} is let go, after ${silentMs} ms in which there were none`, async () => {
      const authority = await Authority.make()
      const pair = await authority.sign('node.test')
      const files = { tlsCertificate: 'node.pem', tlsKey: 'node.key' }
      const { tls, websocket, limits } = loadConfig(
        {
          data: 'data',
          addresses: '127.0.0.1:1',
          ...(transport === 'tls' ? { tls: '127.0.0.1:0', ...files } : { websocket: '127.0.0.1:0' }),
          ...(transport === 'websocket over tls' ? { websocketTls: true, ...files } : {}),
        },
        { GALGO_LIMITS_SEND_TIMEOUT_MS: String(SEND_TIMEOUT_MS) },
      )
      const warnings: string[] = []
      const log = { ...silentLog, warn: (code: string) => void warnings.push(code) }
      const gateway = await Gateway.open({ config: { tls, websocket, limits }, pair, log })
      const replica = createServer()
      replica.listen(0, '127.0.0.1')
      await once(replica, 'listening')
      const { port } = replica.address() as AddressInfo
      gateway.start({ port, secret: new Uint8Array(SECRET_SIZE), frameSizeMax: FRAME_SIZE })
      const onData = (): void => {}
      const onClose = (): void => {}
      const deaf = dialRaw(transport, gateway.tlsPort || gateway.websocketPort, authority.cert, { onData, onClose })
      deaf.deafen()
      try {
        const [inner] = (await once(replica, 'connection')) as [Socket]
        const closed = new Promise<void>((done) => inner.once('close', () => done()))
        inner.on('error', () => {}).resume()
        await new Promise((resolve) => setTimeout(resolve, silentMs))
        assert.equal(inner.destroyed, false, 'nobody is let go for being silent')
        const frame = Buffer.alloc(FRAME_SIZE)
        frame.writeUInt32LE(FRAME_SIZE, At.size)
        for (let i = 0; i < FRAMES; i++) inner.write(frame)
        await closed
        assert.deepEqual(warnings, ['client-does-not-read'])
      } finally {
        deaf.destroy()
        gateway.close()
        replica.close()
      }
    })
  }
