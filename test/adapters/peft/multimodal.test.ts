import { describe, expect, it } from 'vitest'
import type { ModelInfo } from '../../../src/core/model-info.ts'
import { GEMMA3, GEMMA3_MULTIMODAL } from '../../../src/model/families/gemma3.ts'
import type { AdapterFixture } from '../../support/tiny-adapters.ts'
import { expectRefused, readFixture, tinyLora } from '../../support/tiny-adapters.ts'
import { tinyInfo } from '../../support/tiny-model.ts'

const { within, otherParts } = GEMMA3.names as Pick<ModelInfo, 'within' | 'otherParts'>
const INFO = tinyInfo({ within: within!, otherParts: otherParts! })

const NAMINGS = [
  ['transformers 4.52 and later', 'model.language_model.'],
  ['as published', 'language_model.model.'],
] as const

/** The tiny LoRA as it would be saved from a model that has the base model as a part. */
function renamed(start: string, changes: object = {}): AdapterFixture {
  const { config, tensors } = tinyLora()
  const names = Object.entries(tensors).map(([name, tensor]) => {
    return [name.replace('base_model.model.model.', `base_model.model.${start}`), tensor] as const
  })
  return { config: { ...config, ...changes }, tensors: Object.fromEntries(names) }
}

describe('adapters saved from a model with a vision tower', () => {
  it('are known to both forms of the base model', () => {
    expect(within).toHaveLength(2)
    expect(GEMMA3_MULTIMODAL.names).toMatchObject({ within, otherParts })
  })

  it.each(NAMINGS)('are those of its text model, names of %s', async (_, start) => {
    const plain = await readFixture(tinyLora(), INFO)
    expect((await readFixture(renamed(start), INFO)).weights.branches).toEqual(plain.weights.branches)
    const pattern = { target_modules: `.*language_model.*layers.*\\.(q|v)_proj` }
    expect((await readFixture(renamed(start, pattern), INFO)).weights.branches).toEqual(plain.weights.branches)
    const path = `${start}layers.1.self_attn.q_proj`
    const alpha = await readFixture(renamed(start, { alpha_pattern: { [path]: 2 } }), INFO)
    expect(alpha.weights.branches.map(({ scale }) => scale)).toEqual([4, 4, 1, 4])
  })

  it.each(NAMINGS)('must act on all that their pattern selects, names of %s', async (_, start) => {
    const more = renamed(start, { target_modules: `.*language_model.*\\.(q|k|v)_proj` })
    await expectRefused(more, 'invalid_adapter', 'selects layers.0.k_proj', INFO)
    const less = renamed(start, { target_modules: `model\\.layers.*\\.(q|v)_proj` })
    await expectRefused(less, 'invalid_adapter', 'does not select', INFO)
  })

  it.each(['vision_tower.vision_model', 'model.vision_tower', 'multi_modal_projector'])(
    'are refused by name with tensors of %s',
    async (part) => {
      const fixture = renamed('model.language_model.')
      const stem = `${part}.encoder.layers.0.self_attn.q_proj`
      fixture.tensors[`base_model.model.${stem}.lora_A.weight`] = { shape: [2, 8] }
      fixture.tensors[`base_model.model.${stem}.lora_B.weight`] = { shape: [8, 2] }
      await expectRefused(fixture, 'unsupported_adapter', `is for ${stem}, but only the text model is served`, INFO)
      await expectRefused(fixture, 'unsupported_adapter', 'train with "exclude_modules"', INFO)
    },
  )

  it('are refused where modules are named as in different models', async () => {
    const { config, tensors } = renamed('model.language_model.')
    const mixed = Object.entries(tensors).map(([name, tensor]) => {
      return [name.includes('.layers.1.') ? name.replace('language_model.', '') : name, tensor] as const
    })
    const fixture = { config, tensors: Object.fromEntries(mixed) }
    await expectRefused(fixture, 'invalid_adapter', 'are named as in different models', INFO)
  })

  it('do not exist for base models that are no part of one', async () => {
    await expectRefused(renamed('model.language_model.'), 'base_mismatch', 'does not have')
  })
})
