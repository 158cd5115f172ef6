import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { inspectAdapter } from '../../src/adapters/read.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import type { AdapterFixture } from '../support/tiny-adapters.ts'
import { peftKey, tinyBottleneck, tinyLora, writeAdapter } from '../support/tiny-adapters.ts'

async function digest(fixture: AdapterFixture): Promise<string> {
  return inspectAdapter(writeAdapter(join(await temporaryFolder(), 'adapter'), fixture)).digest
}

function changed(fixture: AdapterFixture, changes: object): AdapterFixture {
  return { ...fixture, config: { ...fixture.config, ...changes } }
}

describe('the digest of a version', () => {
  it('does not depend on where the files came from, the order of fields, or fields that are null', async () => {
    const plain = await digest(tinyLora())
    expect(plain).toMatch(/^sha256:[0-9a-f]{64}$/)
    const moved = {
      base_model_name_or_path: '/elsewhere',
      inference_mode: false,
      revision: 'main',
      peft_version: '0.9',
    }
    expect(await digest(changed(tinyLora(), moved))).toBe(plain)
    expect(await digest(changed(tinyLora(), { exclude_modules: null }))).toBe(plain)
    const { config, tensors } = tinyLora()
    expect(await digest({ config: Object.fromEntries(Object.entries(config).reverse()), tensors })).toBe(plain)
    const hub = changed(tinyBottleneck(), { model_name: '/elsewhere', version: 'adapters.1.2.0' })
    expect(await digest(hub)).toBe(await digest(tinyBottleneck()))
  })

  it('changes with every field that acts and with every bit of the weights', async () => {
    const lora = tinyLora()
    const values = Float32Array.from(lora.tensors[peftKey(0, 'q_proj', 'A')]!.values!)
    values[3] = -values[3]!
    lora.tensors[peftKey(0, 'q_proj', 'A')] = { shape: [2, 8], values }
    const all = [
      tinyLora(),
      lora,
      changed(tinyLora(), { lora_alpha: 9 }),
      changed(tinyLora(), { use_rslora: true }),
      changed(tinyLora(), { alpha_pattern: { q_proj: 1 } }),
      tinyBottleneck(),
      tinyBottleneck({ scaling: 2 }),
    ]
    expect(new Set(await Promise.all(all.map(digest))).size).toBe(all.length)
  })
})
