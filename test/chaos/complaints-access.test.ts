/** Complaints about keys and access, each a test: see complaints.test.ts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Client } from '../support/client.ts'
import { modelDir } from '../support/fixtures.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'
import { FAMILY, loraWithAlpha } from './scenarios/adapters.ts'
import type { ErrorBody } from './scenarios/generation.ts'
import { complete, PROMPTS } from './scenarios/generation.ts'

const KEYS = [
  { tenant: 'acme', key: 'acme-secret' },
  { tenant: 'beta', key: 'beta-secret' },
]

let dir: string
let server: RunningServer
let acme: Client
let beta: Client

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'troupe-keys-'))
  const keys = join(dir, 'keys.json')
  writeFileSync(keys, JSON.stringify(KEYS))
  server = await startTestServer({ model: modelDir(FAMILY), maxBatch: 2, keys })
  acme = new Client(server.url, 'acme-secret')
  beta = new Client(server.url, 'beta-secret')
  expect((await acme.upload('acme/private', loraWithAlpha(8))).status).toBe(201)
})
afterAll(async () => {
  await server.close()
  rmSync(dir, { recursive: true, force: true })
})

it.each(['', 'wrong-secret'])('takes no weights from strangers, key %j (SGLang 26789)', async (key) => {
  const stranger = new Client(server.url, key === '' ? undefined : key)
  const { status, body } = await stranger.upload<ErrorBody>('acme/private', loraWithAlpha(9))
  expect([status, body.error.code]).toEqual([401, 'invalid_api_key'])
})

it('checks access at every request, also once an adapter is in memory (LoRAX)', async () => {
  for (let i = 0; i < 2; i++) {
    await complete(acme, 'acme/private', PROMPTS[0], 2)
    const { status, body } = await beta.post<ErrorBody>('/v1/completions', { model: 'acme/private', prompt: 'x' })
    expect([status, body.error.code]).toEqual([404, 'model_not_found'])
  }
})

it('has keys of its own for every tenant, each with its names only (AIBrix 753)', async () => {
  const { status, body } = await beta.upload<ErrorBody>('acme/private', loraWithAlpha(9))
  expect([status, body.error.code]).toEqual([404, 'adapter_not_found'])
  expect((await beta.delete('/v1/adapters/acme%2Fprivate')).status).toBe(404)
  expect((await acme.get('/v1/adapters/acme%2Fprivate')).status).toBe(200)
})
