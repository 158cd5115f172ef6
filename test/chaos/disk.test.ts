import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Answer } from '../support/client.ts'
import { Client } from '../support/client.ts'
import { modelDir } from '../support/fixtures.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'
import { filesOf } from '../support/store-folder.ts'
import { FAMILY, loraWithAlpha, referenceFiles } from './scenarios/adapters.ts'
import { mountSmallDisk, unmount, withoutPermission } from './scenarios/disk.ts'
import { FaultyFiles } from './scenarios/faulty-files.ts'
import type { ErrorBody } from './scenarios/generation.ts'
import { complete, greedy, PROMPTS } from './scenarios/generation.ts'

const PROMPT = PROMPTS[0]
const TOKENS = 4
const DISK_BYTES = 1_000_000
/** Holds either of the large adapters and a small one: asking for one sends the other back to the store. */
const MEMORY_BYTES = 140_000

let root: string
let store: string
let server: RunningServer
let client: Client
let mounted: boolean
let expected: string
let digest: string

/** Troubles with the disk under a running server: each is told clearly, touches nobody else and ends without a restart. */
describe('a disk in trouble', () => {
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'troupe-disk-'))
    mounted = mountSmallDisk(root, DISK_BYTES)
    store = join(root, 'store')
    server = await startTestServer({ model: modelDir(FAMILY), store, maxBatch: 4, memoryBytes: MEMORY_BYTES })
    client = new Client(server.url)
    digest = (await client.upload<{ digest: string }>('large', referenceFiles('lora-r16'))).body.digest
    expect((await client.upload('other', referenceFiles('lora-r8'))).status).toBe(201)
    expect((await client.upload('small', loraWithAlpha(8))).status).toBe(201)
    await client.put('/v1/tasks/task', { adapter: 'small' })
    expected = (await complete(client, 'large', PROMPT, TOKENS)).text
  })
  afterAll(async () => {
    await server.close()
    if (mounted) unmount(root)
    rmSync(root, { recursive: true, force: true })
  })
  // Every test finds `large` in the store only and `small` in memory, where it stays when `large` takes the place of `other`.
  beforeEach(async () => {
    await complete(client, 'other', PROMPT, 1)
    await complete(client, 'small', PROMPT, 1)
    // What was deleted is removed in the background: only then is the room on the disk what it is.
    await expect.poll(() => readdirSync(join(store, 'blobs')).length).toBe(3)
  })

  function weights(): string {
    return join(filesOf(server.server.rooms, store, 'large'), 'adapter_model.safetensors')
  }

  function ask(model: string): Promise<Answer<ErrorBody>> {
    return client.post<ErrorBody>('/v1/completions', { model, ...greedy(PROMPT, TOKENS) })
  }

  async function expectError(answer: Promise<Answer<ErrorBody>>, code: string, says: RegExp): Promise<void> {
    const { status, body } = await answer
    expect([status, body.error?.code], JSON.stringify(body)).toEqual([500, code])
    expect(body.error.message).toMatch(says)
  }

  /** The others go on, and nothing half-written is left. */
  async function expectOthersServed(): Promise<void> {
    for (const model of ['small', 'model', 'task']) expect((await ask(model)).status, model).toBe(200)
  }

  async function expectRecovered(): Promise<void> {
    await expect.poll(async () => (await ask('large')).status, { timeout: 20_000, interval: 200 }).toBe(200)
    expect(await complete(client, 'large', PROMPT, TOKENS)).toEqual({ text: expected, digests: [digest] })
    expect((await client.get('/health/ready')).status).toBe(200)
    // Uploads leave no folder. A record's file that could not be removed in time goes at the next start.
    const left = readdirSync(join(store, '.staging'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
    expect(left).toEqual([])
    expect((await client.upload('after', loraWithAlpha(17))).status).toBe(201)
    expect((await client.delete('/v1/adapters/after')).status).toBe(204)
  }

  it.each([
    { what: 'truncated', harm: () => truncateSync(weights(), 50_000) },
    {
      what: 'altered',
      harm: () => {
        const bytes = readFileSync(weights())
        bytes[bytes.length - 3]! ^= 1
        writeFileSync(weights(), bytes)
      },
    },
    { what: 'removed', harm: () => rmSync(weights()) },
  ])('finds a $what file when it is loaded and names it; the same upload puts it right', async ({ what, harm }) => {
    harm()
    const code = what === 'removed' ? /storage_error|digest_mismatch/ : /digest_mismatch/
    const { status, body } = await ask('large')
    expect([status, body.error.code], JSON.stringify(body)).toEqual([500, expect.stringMatching(code)])
    expect(body.error.message).toContain(digest.slice('sha256:'.length))
    await expectOthersServed()
    expect((await client.upload('large', referenceFiles('lora-r16'))).status).toBe(200)
    await expectRecovered()
  })

  it('says which file it may not read', async () => {
    await withoutPermission(root, weights(), 0o000, async () => {
      await expectError(ask('large'), 'storage_error', /adapter_model\.safetensors.*(EACCES|permission)/s)
      await expectOthersServed()
    })
    await expectRecovered()
  })

  it('says which folder it may not write to', async () => {
    await withoutPermission(root, join(store, '.staging'), 0o555, async () => {
      await expectError(
        client.upload<ErrorBody>('denied', loraWithAlpha(5)),
        'storage_error',
        /\.staging.*EACCES|EACCES/,
      )
      await expectError(client.put<ErrorBody>('/v1/tasks/denied', { adapter: 'small' }), 'storage_error', /EACCES/)
      await expectOthersServed()
    })
    expect((await client.get('/v1/adapters/denied')).status).toBe(404)
    expect((await client.get('/v1/tasks/denied')).status).toBe(404)
    await expectRecovered()
  })

  it('says that the disk is full and goes on when there is room again', async () => {
    const faulty = mounted ? null : new FaultyFiles(store)
    try {
      if (faulty) faulty.failAt(0, Infinity)
      else fillDisk(join(root, 'filler'))
      await expectError(client.upload<ErrorBody>('full', referenceFiles('bn-par')), 'storage_error', /ENOSPC/)
      await expectError(client.put<ErrorBody>('/v1/tasks/full', { adapter: 'small' }), 'storage_error', /ENOSPC/)
      await expectOthersServed()
      expect((await client.get('/v1/adapters/full')).status).toBe(404)
      expect((await client.get('/v1/tasks/full')).status).toBe(404)
    } finally {
      faulty?.restore()
      rmSync(join(root, 'filler'), { force: true })
    }
    await expectRecovered()
  })

  it('outlives a store folder that vanishes and comes back', async () => {
    renameSync(store, `${store}-away`)
    await expectError(ask('large'), 'storage_error', /ENOENT|missing/)
    await expectError(client.upload<ErrorBody>('vanished', loraWithAlpha(5)), 'storage_error', /ENOENT/)
    await expectOthersServed()
    const degraded = async (): Promise<string> => {
      const { status, body } = await client.get<{ degraded: string[] }>('/health/ready')
      return `${status} ${body.degraded.join()}`
    }
    await expect.poll(degraded, { timeout: 20_000, interval: 200 }).toMatch(/^200 .*changes are refused.*store/)
    await expectOthersServed()
    renameSync(`${store}-away`, store)
    await expect.poll(degraded, { timeout: 20_000, interval: 200 }).toBe('200 ')
    await expectRecovered()
  })
})

/** Fills what is left of a disk. */
function fillDisk(path: string): void {
  const block = Buffer.alloc(4096, 1)
  for (let blocks = 1; ; blocks++) {
    try {
      writeFileSync(path, block, { flag: 'a' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return
      throw error
    }
    if (blocks * block.length > 2 * DISK_BYTES) throw new Error('the disk does not get full')
  }
}
