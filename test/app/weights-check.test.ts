import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readinessOf } from '../../src/app/readiness.ts'
import { WeightsCheck } from '../../src/app/weights-check.ts'
import { MANIFEST_FILE, WEIGHTS_FILE } from '../../src/model/prepared.ts'
import type { PreparedManifest } from '../../src/model/prepared.ts'
import { Client } from '../support/client.ts'
import { FakeEngine } from '../support/fake-engine.ts'
import { modelDir } from '../support/fixtures.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { scrape } from '../support/scrape.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'

const LONG = { timeout: 50_000, interval: 100 }

interface Completion {
  readonly choices: readonly { readonly token_ids: readonly number[] }[]
}

async function complete({ server, url }: RunningServer): Promise<{ status: number; body: Completion }> {
  const body = { model: server.info.name, prompt: [5, 6, 7], max_tokens: 6, temperature: 0, return_token_ids: true }
  return new Client(url).post<Completion>('/v1/completions', body)
}

it('a server whose weights have changed on disk says which, answers no more, and is whole after its next start', async () => {
  const cacheDir = await temporaryFolder()
  const settings = { model: modelDir('llama'), cacheDir }
  const first = await startTestServer(settings)
  const whole = await complete(first)
  const bytes = readFileSync(join(cacheDir, preparedIn(cacheDir), WEIGHTS_FILE)).length
  const checked = async (): Promise<number | undefined> =>
    (await scrape(new Client(first.url))).get('troupe_weights_checked_bytes')
  await expect.poll(checked, LONG).toBeGreaterThan(bytes * 0.99)
  expect((await scrape(new Client(first.url))).get('troupe_weights_damaged_tensors')).toBe(0)
  await first.close()

  const dir = join(cacheDir, preparedIn(cacheDir))
  const manifest = JSON.parse(readFileSync(join(dir, MANIFEST_FILE), 'utf8')) as PreparedManifest
  const flipped = readFileSync(join(dir, WEIGHTS_FILE))
  flipped[manifest.tensors['layers.1.o.w']!.offset + 2]! ^= 4
  writeFileSync(join(dir, WEIGHTS_FILE), flipped)

  const damaged = await startTestServer(settings)
  const client = new Client(damaged.url)
  await expect.poll(async () => (await client.get('/health/ready')).status, LONG).toBe(503)
  const named = expect.stringMatching(/have changed on disk \(layers\.1\.o\.w\): restart the server/) as string
  expect((await client.get('/health/ready')).body).toMatchObject({ error: { code: 'not_ready', message: named } })
  expect((await client.get('/health/live')).status).toBe(200)
  expect((await scrape(client)).get('troupe_weights_damaged_tensors')).toBe(1)
  expect(await complete(damaged)).toMatchObject({ status: 503, body: { error: { code: 'not_ready', message: named } } })
  await damaged.close()

  const mended = await startTestServer(settings)
  expect((await complete(mended)).body.choices[0]!.token_ids).toEqual(whole.body.choices[0]!.token_ids)
  expect((await new Client(mended.url).get('/health/ready')).status).toBe(200)
  await mended.close()
})

it('a file that cannot be read is no reason to turn away, and is told', async () => {
  const warnings: string[] = []
  const log = { info: () => undefined, warn: (_: object, text: string) => warnings.push(text), error: () => undefined }
  const refuse = (): never => {
    throw new Error('nothing is known to be damaged')
  }
  const manifest = { tensors: {}, digests: {} } as unknown as PreparedManifest
  const check = new WeightsCheck({ dir: '/nowhere', manifest }, log, refuse, 0)
  await expect.poll(() => check.trouble, LONG).toMatch(/ENOENT.*nowhere/)
  expect(warnings).toEqual(['the prepared weights could not be compared with their digests'])
  const { reasons, degraded } = await readinessOf(new FakeEngine(), { trouble: null, unusable: [] }, check)
  expect([reasons, degraded]).toEqual([[], [expect.stringMatching(/could not be compared .*ENOENT/)]])
  await check.close()
})

function preparedIn(cacheDir: string): string {
  return readdirSync(cacheDir).find((name) => name.includes('-f32-'))!
}
