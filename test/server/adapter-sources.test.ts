import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { FAKE_CONFIG } from '../support/fake-adapter.ts'
import { FakeHub } from '../support/fake-hub.ts'
import { BucketServer, noBuckets } from '../support/s3-server.ts'
import type { TestApp } from '../support/test-app.ts'
import { digestOf, testApp, weightsFile } from '../support/test-app.ts'

interface Body {
  readonly digest?: string
  readonly source?: string
  readonly description?: string
  readonly report?: { readonly took: readonly { readonly file: string }[] }
  readonly error?: { readonly code: string; readonly message: string; readonly param: string | null }
}

const FILES = {
  'adapter_config.json': FAKE_CONFIG,
  'adapter_model.safetensors': weightsFile('f00d'),
  'README.md': 'about it',
  'checkpoint-1/adapter_config.json': '{}',
}

async function send(app: TestApp, body: object): Promise<{ status: number; body: Body }> {
  const response = await app.call({ method: 'POST', url: '/v1/adapters/fetched/versions', payload: body })
  return { status: response.statusCode, body: response.json() }
}

async function refusal(app: TestApp, source: string): Promise<string> {
  const { status, body } = await send(app, { source })
  expect(readdirSync(join(app.storeDir, '.staging'))).toEqual([])
  return `${status} ${body.error?.code}: ${body.error?.message}`
}

describe('versions from a hub', () => {
  let hub: FakeHub
  beforeAll(async () => {
    hub = await FakeHub.start()
    hub.repositories.set('acme/invoice@v1.0', FILES)
    hub.repositories.set('acme/empty@main', {})
    hub.repositories.set('acme/large@main', { ...FILES, 'adapter_model.safetensors': weightsFile('f'.repeat(9_000)) })
    hub.repositories.set('acme/many@main', Object.fromEntries(Array.from({ length: 2_001 }, (_, n) => [`${n}`, ''])))
    Object.assign(process.env, { HF_ENDPOINT: hub.url, HF_TOKEN: 'hf_secret' })
  })
  afterAll(() => {
    hub.stop()
    delete process.env.HF_ENDPOINT
    delete process.env.HF_TOKEN
  })

  it('are taken as uploads are, with a word of where they came from', async () => {
    const app = await testApp({ sources: ['hf:acme'] })
    const { status, body } = await send(app, { source: 'hf:acme/invoice@v1.0' })
    expect(status, JSON.stringify(body)).toBe(201)
    expect(body).toMatchObject({
      ...{ digest: digestOf('f00d'), source: 'reference', description: 'from hf:acme/invoice@v1.0' },
      report: { took: [{ file: 'adapter_config.json' }, { file: 'adapter_model.safetensors' }] },
    })
    // Nothing but the adapter's own files was asked for, with the token of the server.
    expect(hub.calls.filter(({ path }) => path.includes('README'))).toEqual([])
    expect(new Set(hub.calls.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer hf_secret']))
    expect((await send(app, { source: 'hf:acme/invoice@v1.0', description: 'mine' })).status).toBe(200)
  })

  it('are refused unless their place is allowed; by default none is', async () => {
    hub.calls.length = 0
    const closed = await testApp()
    expect(await refusal(closed, 'hf:acme/invoice@v1.0')).toMatch(/^403 forbidden: .*\(none is\).*adapterSources/)
    const other = await testApp({ sources: ['hf:acme/inv', 'hf:beta', 's3://models/adapters'] })
    for (const source of ['hf:acme/invoice@v1.0', 'hf:acmeinc/x@main', 's3://models/adapters-of-others', 's3://models'])
      expect(await refusal(other, source)).toMatch(/^403 forbidden/)
    expect(hub.calls).toEqual([])
  })

  it.each([
    ['hf:acme/invoice', /^400 invalid_request: "hf:acme\/invoice" is not a source/],
    ['https://example.org/x', /^400 invalid_request/],
    ['hf:acme/invoice@../../secret', /^400 invalid_request/],
    ['hf:acme/nothing@main', /^502 source_unavailable: cannot fetch hf:acme\/nothing@main/],
    ['hf:acme/empty@main', /^502 source_unavailable: .*there are no files/],
    ['hf:acme/large@main', /^413 upload_too_large: .*limit of 4096 bytes/],
    ['hf:acme/many@main', /^400 invalid_request: .*more than 2000 files/],
  ])('say what is wrong with %s', async (source, expected) => {
    expect(await refusal(await testApp({ sources: ['hf:acme'] }), source)).toMatch(expected)
  })

  it('do not come from another host that the hub sends to, and the token does not go there', async () => {
    const other = await FakeHub.start()
    onTestFinished(() => other.stop())
    hub.elsewhere = `${other.url}/acme/invoice/resolve/v1.0/adapter_config.json`
    onTestFinished(() => void (hub.elsewhere = null))
    const app = await testApp({ sources: ['hf:acme'] })
    expect(await refusal(app, 'hf:acme/invoice@v1.0')).toMatch(
      /^502 .*redirects to 127\.0\.0\.1:\d+, which is not one of/,
    )
    expect(other.calls).toEqual([])
  })

  it('are refused with unknown fields, and without a source', async () => {
    const app = await testApp({ sources: ['hf:acme'] })
    expect((await send(app, {})).body.error).toMatchObject({ code: 'invalid_request', param: 'source' })
    expect((await send(app, { source: 'hf:acme/invoice@v1.0', revision: 1 })).body.error?.param).toBe('revision')
  })
})

const reason = noBuckets()
describe.skipIf(reason !== null)(`versions from a bucket${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  let server: BucketServer
  let place: string
  beforeAll(async () => {
    server = await BucketServer.start()
    place = await server.newStore()
    const client = new S3Client({ endpoint: server.url, region: 'us-east-1', forcePathStyle: true })
    const [, bucket, prefix] = /^s3:\/\/([^/]+)\/(.+)$/.exec(place)!
    for (const [name, text] of Object.entries(FILES))
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: `${prefix}/v1/${name}`, Body: text }))
    client.destroy()
  }, 90_000)
  afterAll(() => server.stop())

  it('are taken as uploads are', async () => {
    const app = await testApp({ sources: [place] })
    const { status, body } = await send(app, { source: `${place}/v1` })
    expect([status, body.digest, body.description]).toEqual([201, digestOf('f00d'), `from ${place}/v1`])
  })

  it('say what is wrong with the place', async () => {
    const app = await testApp({ sources: [place, 's3://no-such-bucket'] })
    expect(await refusal(app, `${place}/v2`)).toMatch(/^502 source_unavailable: .*there are no files/)
    expect(await refusal(app, 's3://no-such-bucket/x')).toMatch(/^502 source_unavailable: .*the bucket does not exist/)
    expect(await refusal(app, `${place}/../other`)).toMatch(/^400 invalid_request/)
  })
})
