// The files of a certificate, as an operator leaves them.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Certificate, readPair } from '../../src/server/certificates.ts'
import { ServerError } from '../../src/server/errors.ts'
import { silentLog } from '../../src/server/log.ts'
import { temporaryDirectory } from '../integration/processes.ts'
import { Authority, writePem } from '../integration/transport-node.ts'

async function withDirectory(run: (path: string) => Promise<void>): Promise<void> {
  const directory = temporaryDirectory()
  try {
    await run(directory.path)
  } finally {
    directory.remove()
  }
}

test('files that cannot be used are named, with what is wrong', async () => {
  await withDirectory(async (path) => {
    const authority = await Authority.make()
    const files = writePem(path, await authority.sign('a.test'))
    const refused = (message: RegExp): void => {
      assert.throws(
        () => readPair(files),
        (error) => error instanceof ServerError && error.code === 'bad-certificate' && message.test(error.message),
      )
    }
    readPair(files)
    writeFileSync(files.key, (await authority.sign('a.test')).key)
    refused(/node\.key is not the private key of the certificate in .*node\.pem/)
    writeFileSync(files.key, 'nonsense')
    refused(/node\.key holds no private key/)
    rmSync(files.key)
    refused(/cannot read .*node\.key: there is no such file; "tls\.key" names it/)
    writeFileSync(files.key, '')
    writeFileSync(files.certificate, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    refused(/node\.pem holds no certificate/)
  })
})

test('an expired certificate is told of, and used all the same', async () => {
  await withDirectory(async (path) => {
    const authority = await Authority.make()
    const source = writePem(path, await authority.sign('a.test', new Date('2026-01-01')))
    const told: string[] = []
    const log = { ...silentLog, error: (code: string) => told.push(code) }
    await Certificate.open({ source, data: path, hosts: [], log, onChange: () => {} })
    assert.deepEqual(told, ['tls-certificate-expired'])
  })
})

test('a certificate of its own is kept, until the node has another address', async () => {
  await withDirectory(async (data) => {
    const told: string[] = []
    const log = { ...silentLog, warn: (code: string) => told.push(code) }
    const open = async (hosts: string[]): Promise<X509Certificate> => {
      const options = { source: 'self-signed' as const, data, hosts, log, onChange: () => {} }
      return new X509Certificate((await Certificate.open(options)).pair.cert)
    }
    const first = await open(['10.0.0.1', 'node.test'])
    assert.deepEqual(told, ['tls-self-signed'])
    for (const ip of ['127.0.0.1', '::1', '10.0.0.1']) assert.equal(first.checkIP(ip), ip)
    assert.equal(first.checkHost('node.test'), 'node.test')
    assert.equal((await open(['node.test'])).fingerprint256, first.fingerprint256)
    const moved = await open(['10.0.0.2'])
    assert.notEqual(moved.fingerprint256, first.fingerprint256)
    assert.notEqual(moved.subject, first.subject, 'authorities are found by their name')
    writeFileSync(join(data, 'self-signed.key'), 'nonsense')
    assert.notEqual((await open(['10.0.0.2'])).fingerprint256, moved.fingerprint256)
  })
})
