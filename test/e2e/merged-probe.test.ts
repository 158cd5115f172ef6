import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Client } from '../support/client.ts'
import { runCommand } from '../support/command.ts'
import { modelDir } from '../support/fixtures.ts'
import { startTestServer } from '../support/server.ts'
import { blobFolders } from '../support/store-folder.ts'

interface Detail {
  readonly state: string
  readonly proof: {
    readonly merged: {
      readonly deviation: number | null
      readonly tolerance: number | null
      readonly reason: string | null
    }
  }
}

const ADAPTERS = join(modelDir('llama'), '../adapters')
const store = mkdtempSync(join(tmpdir(), 'troupe-merged-probe-'))
afterAll(() => rmSync(store, { recursive: true }))

describe('the proof of a version', () => {
  it('has the comparison with merged weights, over HTTP and in the store', async () => {
    const server = await startTestServer({ model: modelDir('llama'), store, maxBatch: 2, precision: 'int8' })
    try {
      const client = new Client(server.url)
      for (const name of ['lora-r8', 'bn-seq'])
        expect((await client.uploadFolder(name, join(ADAPTERS, name))).status).toBe(201)
      const merged = async (name: string) => (await client.get<Detail>(`/v1/adapters/${name}/versions/v1`)).body.proof
      const lora = (await merged('lora-r8')).merged
      expect(lora.reason).toBeNull()
      expect(lora.deviation).toBeGreaterThan(0)
      expect(lora.deviation).toBeLessThan(lora.tolerance!)
      expect((await merged('bn-seq')).merged).toEqual({
        deviation: null,
        tolerance: null,
        reason: expect.stringContaining('bottleneck') as string,
      })
    } finally {
      await server.close()
    }
    const folders = await blobFolders(store)
    const withProof = folders.find((folder) => readdirSync(folder).includes('adapter_model.safetensors'))!
    const inspected = await runCommand(['adapters', 'inspect', withProof])
    expect(inspected.stdout).toMatch(/^merged +within [\d.]+ % of merged weights, rounding explains [\d.]+ %$/m)
  })

  it('says so where it is switched off', async () => {
    const server = await startTestServer({ model: modelDir('llama'), maxBatch: 2, mergedProbe: 'off' })
    try {
      const client = new Client(server.url)
      await client.uploadFolder('lora', join(ADAPTERS, 'lora-r8'))
      const { body } = await client.get<Detail>('/v1/adapters/lora/versions/v1')
      expect(body.proof.merged.reason).toContain('mergedProbe')
    } finally {
      await server.close()
    }
  })
})
