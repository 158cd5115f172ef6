import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Calibration } from '../../src/model/calibration.ts'
import { openCheckpoint } from '../../src/model/checkpoint.ts'
import { readArchitecture } from '../../src/model/families/families.ts'
import { modelDir } from '../support/fixtures.ts'
import { temporaryFolder } from '../support/model-folder.ts'

/** The first layer of the tiny Llama of the conformance tests. */
function firstLayer(): { calibration: Calibration; plain: Parameters<Calibration['layer']>[1]; embed: Float32Array } {
  const checkpoint = openCheckpoint(modelDir('llama'))
  const architecture = readArchitecture(checkpoint.config)
  const read = (name: string): Float32Array => checkpoint.readF32(`model.${name}`).slice()
  const layer = (name: string): Float32Array => read(`layers.0.${name}`)
  const joined = (...names: readonly string[]): { rows: Float32Array; bias: null } => {
    const rows = names.flatMap((name) => [...layer(`${name}.weight`)])
    return { rows: Float32Array.from(rows), bias: null }
  }
  const plain = {
    blocks: {
      qkv: joined('self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'),
      o: joined('self_attn.o_proj'),
      gate_up: joined('mlp.gate_proj', 'mlp.up_proj'),
      down: joined('mlp.down_proj'),
    },
    norms: { attn_norm: layer('input_layernorm.weight'), mlp_norm: layer('post_attention_layernorm.weight') },
  }
  const embed = read('embed_tokens.weight')
  checkpoint.close()
  const { hidden } = architecture
  const calibration = new Calibration(architecture, (token, into) => {
    into.set(embed.subarray(token * hidden, (token + 1) * hidden))
  })
  return { calibration, plain, embed }
}

it('measures the inputs of every block, the same each time', async () => {
  const { calibration, plain } = firstLayer()
  const folder = await temporaryFolder()
  const found = await calibration.layer(0, plain, folder, null)
  await calibration.close()
  expect(Object.keys(found)).toEqual(['qkv', 'o', 'gate_up', 'down'])
  // What a normalised stream enters a product with has the norm's weights squared on average.
  const weights = plain.norms['attn_norm']!
  const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length
  expect(mean(found['qkv']!)).toBeCloseTo(mean(weights.map((w) => w * w)), 0)
  for (const values of Object.values(found))
    expect(values.every((value) => value >= 0 && Number.isFinite(value))).toBe(true)

  const again = firstLayer()
  const other = await temporaryFolder()
  expect(await again.calibration.layer(0, again.plain, other, null)).toEqual(found)
  await again.calibration.close()
  const streams = [folder, other].map((dir) => readFileSync(join(dir, 'stream-1.f32')))
  expect(streams[0]!.equals(streams[1]!)).toBe(true)
})
