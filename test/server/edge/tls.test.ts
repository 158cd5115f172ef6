import { copyFileSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import { expect, it } from 'vitest'
import { TlsFiles } from '../../../src/server/edge/tls-files.ts'
import { LiveCertificates } from '../../../src/server/edge/live-certificates.ts'
import { testApp } from '../../support/test-app.ts'
import { temporaryFolder } from '../../support/model-folder.ts'
import { rawSocket } from '../../support/raw-socket.ts'

const FIXTURES = join(import.meta.dirname, '../../fixtures/tls')

async function pairOf(name: string): Promise<{ tlsCert: string; tlsKey: string; put: (name: string) => void }> {
  const dir = await temporaryFolder()
  const [tlsCert, tlsKey] = [join(dir, 'tls.crt'), join(dir, 'tls.key')]
  let changes = 0
  const put = (one: string): void => {
    copyFileSync(join(FIXTURES, `${one}.cert.pem`), tlsCert)
    copyFileSync(join(FIXTURES, `${one}.key.pem`), tlsKey)
    // Two changes within one tick of the file system's clock look alike.
    const time = 1_700_000_000 + changes++
    for (const path of [tlsCert, tlsKey]) utimesSync(path, time, time)
  }
  put(name)
  return { tlsCert, tlsKey, put }
}

/** The name in the certificate that a new connection is shown. */
async function shown(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN))
      socket.end()
    })
    socket.on('error', reject)
  })
}

it('serves over HTTPS only, with HSTS, and follows the files', async () => {
  const { put, ...paths } = await pairOf('first')
  const files = TlsFiles.of(paths)!
  const { app } = await testApp({ tls: files.read(), edge: { headerSeconds: 0.5 } })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const told: string[] = []
  const log = { info: (text: string) => void told.push(text), error: (_: object, text: string) => void told.push(text) }
  const live = new LiveCertificates(files, app.server, log)

  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const ca = readFileSync(join(FIXTURES, 'first.cert.pem'))
    https.get({ port, host: '127.0.0.1', path: '/health/live', ca, agent: false }, resolve).on('error', reject)
  })
  answer.resume()
  expect(answer.statusCode).toBe(200)
  expect(answer.headers['strict-transport-security']).toMatch(/max-age=31536000/)

  // What speaks no TLS, or nothing at all, is not kept.
  const plain = await rawSocket(port)
  plain.send('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
  expect(await plain.closed).not.toContain('200')
  await (
    await rawSocket(port)
  ).closed

  expect(await shown(port)).toBe('first.troupe.test')
  put('second')
  live.reload()
  expect(await shown(port)).toBe('second.troupe.test')
  writeFileSync(paths.tlsCert, 'no certificate')
  live.reload()
  expect(await shown(port)).toBe('second.troupe.test')
  expect(told).toEqual(['the certificate was read again', 'the certificate cannot be used: the one before stays'])
  live.stop()
  await app.close()
})

it('notices by itself that the files were replaced, the key after the certificate', async () => {
  const { put, ...paths } = await pairOf('first')
  const files = TlsFiles.of(paths)!
  files.read()
  const pairs: string[] = []
  const errors: unknown[] = []
  const stop = files.watch(
    ({ cert }) => void pairs.push(cert),
    (error) => void errors.push(error),
    10,
  )
  copyFileSync(join(FIXTURES, 'second.cert.pem'), paths.tlsCert)
  while (errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  put('second')
  while (pairs.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  await new Promise((resolve) => setTimeout(resolve, 100))
  stop()
  expect(pairs).toEqual([readFileSync(paths.tlsCert, 'utf8')])
  expect(errors).toHaveLength(1)
})

it('names what is missing or does not fit', async () => {
  const { tlsCert, tlsKey } = await pairOf('first')
  const refused = (message: RegExp): unknown =>
    expect.objectContaining({ code: 'invalid_config', message: expect.stringMatching(message) as string })
  expect(TlsFiles.of({})).toBe(null)
  expect(() => TlsFiles.of({ tlsCert })).toThrow(refused(/needs both .*`tlsKey` is not set/))
  const read = (cert: string, key: string) => () => TlsFiles.of({ tlsCert: cert, tlsKey: key })!.read()
  expect(read(tlsCert, '/nowhere/key')).toThrow(refused(/the private key \/nowhere\/key cannot be read/))
  copyFileSync(join(FIXTURES, 'second.key.pem'), tlsKey)
  expect(read(tlsCert, tlsKey)).toThrow(refused(/cannot be used as certificate and key/))
})
