import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../src/core/json.ts'
import type { Architecture } from '../../../src/model/architecture.ts'
import { needsPositions } from '../../../src/model/architecture.ts'
import { readArchitecture } from '../../../src/model/families/families.ts'
import { expectRefusal } from '../../support/refusal.ts'

function configOf(family: string): JsonObject {
  const path = join(import.meta.dirname, '../../fixtures/conformance', family, 'model/config.json')
  return JSON.parse(readFileSync(path, 'utf8')) as JsonObject
}

function read(family: string, changes: JsonObject = {}): Architecture {
  return readArchitecture({ ...configOf(family), ...changes })
}

/** The configuration without some fields. */
function without(family: string, ...fields: string[]): JsonObject {
  return Object.fromEntries(Object.entries(configOf(family)).filter(([field]) => !fields.includes(field)))
}

describe('sliding windows', () => {
  it('mistral: in every layer, 4096 where nothing is said, none for null or beyond the context', () => {
    expect(read('mistral').attention.windows).toEqual([12, 12, 12])
    expect(read('mistral', { sliding_window: null }).attention.windows).toEqual([null, null, null])
    const long = { ...without('mistral', 'sliding_window'), max_position_embeddings: 8192 }
    expect(readArchitecture(long).attention.windows).toEqual([4096, 4096, 4096])
    expect(readArchitecture({ ...long, max_position_embeddings: 4096 }).attention.windows).toEqual([null, null, null])
  })

  it('gemma: by layer_types, else every second (2) or sixth (3) layer is global', () => {
    expect(read('gemma2').attention.windows).toEqual([10, null, 10])
    expect(read('gemma3').attention).toMatchObject({ windows: [10, 10, null], ropes: [1, 1, 0] })
    const types = ['full_attention', 'sliding_attention', 'full_attention']
    expect(read('gemma3', { layer_types: types }).attention.ropes).toEqual([0, 1, 0])
    expectRefusal(() => read('gemma2', { layer_types: ['full_attention'] }), 'invalid_model', '"layer_types"')
  })
})

describe('positions', () => {
  it('gemma3: the scaling is for global layers only, in both ways to write it', () => {
    const [global, local] = read('gemma3').ropes
    expect(global!.inverseFrequencies[0]).toBe(0.25)
    expect(local!.inverseFrequencies[0]).toBe(1)
    const fresh = {
      ...without('gemma3', 'rope_theta', 'rope_scaling', 'rope_local_base_freq'),
      rope_parameters: {
        full_attention: { rope_type: 'linear', factor: 4, rope_theta: 1_000_000 },
        sliding_attention: { rope_type: 'default', rope_theta: 10_000 },
      },
    }
    expect(readArchitecture(fresh).ropes).toEqual([global, local])
  })

  it('phi3: two sets of frequencies and a factor for the longer context', () => {
    const { ropes, longRope } = read('phi3')
    const factor = Math.sqrt(1 + Math.log(4) / Math.log(44))
    expect(ropes[0]).toMatchObject({ attentionFactor: expect.closeTo(factor, 12) as number })
    expect(ropes[0]!.inverseFrequencies[7]).toBeCloseTo(10_000 ** (-7 / 8) / 2, 12)
    expect(longRope).toMatchObject({ length: 44 })
    expect(longRope!.rope.inverseFrequencies[7]).toBeCloseTo(10_000 ** (-7 / 8) / 8, 12)
    const scaling = { type: 'longrope', short_factor: [1], long_factor: [1] }
    expectRefusal(() => read('phi3', { rope_scaling: scaling }), 'invalid_model', 'a list of 8 positive numbers')
    expectRefusal(() => read('phi3', { rope_scaling: { type: 'ntk', factor: 2 } }), 'invalid_model', '"ntk"')
  })

  it('gpt_neox rotates a part of each head, smollm3 only some layers, gpt2 and opt look positions up', () => {
    expect(read('gpt_neox').ropes[0]!.inverseFrequencies).toHaveLength(2)
    expect(read('gpt_neox', { rotary_pct: 1 }).ropes[0]!.inverseFrequencies).toHaveLength(8)
    expectRefusal(() => read('gpt_neox', { rotary_pct: 0.2 }), 'invalid_model', '"rotary_pct" is 0.2')
    expect(read('smollm3').attention.ropes).toEqual([0, null, 0])
    expect(read('smollm3', { pretraining_tp: 2 }).family).toBe('smollm3')
    expectRefusal(() => read('smollm3', { no_rope_layers: [1] }), 'invalid_model', '"no_rope_layers"')
    expect(read('gpt2')).toMatchObject({ ropes: [], positionOffset: 0 })
    expect(read('opt')).toMatchObject({ ropes: [], positionOffset: 2 })
    const fed = ['gpt2', 'opt', 'phi3', 'gpt_neox', 'gemma3', 'mistral'].filter((family) =>
      needsPositions(read(family)),
    )
    expect(fed).toEqual(['gpt2', 'opt', 'phi3', 'gpt_neox'])
  })
})

describe('what would change the result is refused by field', () => {
  const cases: readonly (readonly [string, JsonObject])[] = [
    ['mistral', { hidden_act: 'gelu' }],
    ['mistral', { final_logit_softcapping: 30 }],
    ['gemma3', { use_bidirectional_attention: true }],
    ['gemma2', { final_logit_softcapping: -1 }],
    ['smollm3', { use_sliding_window: true }],
    ['granite', { attn_logit_softcapping: 50 }],
    ['gpt2', { scale_attn_by_inverse_layer_idx: true }],
    ['gpt2', { add_cross_attention: true }],
    ['gpt2', { activation_function: 'quick_gelu' }],
    ['opt', { do_layer_norm_before: false }],
    ['opt', { word_embed_proj_dim: 32 }],
    ['opt', { layer_norm_elementwise_affine: false }],
  ]
  it.each(cases)('%s: %j', (family, changes) => {
    expectRefusal(() => read(family, changes), 'invalid_model', `"${Object.keys(changes)[0]}"`)
  })
})
