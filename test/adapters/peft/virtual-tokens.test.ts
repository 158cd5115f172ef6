import { describe, expect, it } from 'vitest'
import { inspectAdapter } from '../../../src/adapters/read.ts'
import type { AdapterFixture } from '../../support/tiny-adapters.ts'
import { expectRefused, readFixture, writeAdapter } from '../../support/tiny-adapters.ts'
import { noise } from '../../support/tiny-checkpoint.ts'
import { temporaryFolder } from '../../support/model-folder.ts'
import { tinyInfo } from '../../support/tiny-model.ts'

const COUNT = 3

function virtual(type: string, width: number, config: object = {}): AdapterFixture {
  return {
    config: {
      peft_type: type,
      task_type: 'CAUSAL_LM',
      inference_mode: true,
      num_virtual_tokens: COUNT,
      num_layers: 2,
      num_attention_heads: 2,
      num_transformer_submodules: 1,
      token_dim: 8,
      ...config,
    },
    tensors: { prompt_embeddings: { shape: [COUNT, width], values: noise(7, COUNT * width) } },
  }
}

/** `tinyInfo` has 2 layers with one key head of 4. */
function prefix(config: object = {}): AdapterFixture {
  return virtual('PREFIX_TUNING', 16, { token_dim: 4, num_attention_heads: 1, ...config })
}

describe('prompt tuning', () => {
  it.each(['PROMPT_TUNING', 'P_TUNING'])('%s gives vectors in place of tokens', async (type) => {
    const fixture = virtual(type, 8, { encoder_reparameterization_type: 'MLP', prompt_tuning_init: 'TEXT' })
    const { weights, description } = await readFixture(fixture)
    expect(weights.virtualTokens).toEqual({
      type: 'embeddings',
      count: COUNT,
      values: Float32Array.from(fixture.tensors['prompt_embeddings']!.values!),
    })
    expect(description).toMatchObject({ method: 'prompt_tuning', rank: 0, sites: [], virtualTokens: COUNT })
    expect(description.bytes).toBe(4 * COUNT * 8)
    expect(inspectAdapter(writeAdapter(await temporaryFolder(), fixture)).description).toEqual(description)
  })

  it('is refused by tensor or field', async () => {
    const prompt = (config: object): AdapterFixture => virtual('PROMPT_TUNING', 8, config)
    await expectRefused(prompt({ token_dim: 6 }), 'invalid_adapter', 'prompt_embeddings')
    await expectRefused(prompt({ num_virtual_tokens: 4 }), 'invalid_adapter', 'prompt_embeddings')
    await expectRefused(
      prompt({ num_transformer_submodules: 2 }),
      'unsupported_adapter',
      '"num_transformer_submodules"',
    )
    await expectRefused(prompt({ num_layers: 3 }), 'base_mismatch', '"num_layers" is 3')
    await expectRefused(prompt({ task_type: 'SEQ_2_SEQ_LM' }), 'unsupported_adapter', '"task_type"')
    await expectRefused(virtual('PROMPT_TUNING', 6, { token_dim: 6 }), 'base_mismatch', '"token_dim" is 6')
    await expectRefused(prompt({}), 'unsupported_adapter', '"peft_type"', tinyInfo({ edges: [] }))
    await expectRefused(prompt({}), 'unsupported_adapter', 'rotate what they', tinyInfo({ longRope: true }))
    await expectRefused(prompt({}), 'base_mismatch', '"num_virtual_tokens"', tinyInfo({ maxContext: 3 }))
    const more = prompt({})
    more.tensors['prefix_task_rows'] = { shape: [1] }
    await expectRefused(more, 'unsupported_adapter', 'prefix_task_rows')
    const none = prompt({})
    delete none.tensors['prompt_embeddings']
    await expectRefused(none, 'invalid_adapter', 'prompt_embeddings')
  })
})

describe('prefix tuning', () => {
  it('gives keys and values by layer and head, and positions that count it', async () => {
    const fixture = virtual('PREFIX_TUNING', 32, { token_dim: 8, num_attention_heads: 2 })
    const { weights, description } = await readFixture(fixture, tinyInfo({ kvHeads: 2 }))
    const flat = fixture.tensors['prompt_embeddings']!.values!
    // [token, layer, key or value, head, dimension], as PEFT reads it
    const at = (token: number, layer: number, which: number, head: number, d: number): number =>
      flat[(((token * 2 + layer) * 2 + which) * 2 + head) * 4 + d]!
    const part = (layer: number, which: number): number[] =>
      [0, 1].flatMap((head) => [0, 1, 2].flatMap((token) => [0, 1, 2, 3].map((d) => at(token, layer, which, head, d))))
    const found = weights.virtualTokens!
    expect(found).toMatchObject({ type: 'keys_values', count: COUNT, usePositions: true })
    if (found.type !== 'keys_values') throw new Error('no keys and values')
    expect(found.layers.map(({ keys, values }) => [[...keys], [...values]])).toEqual(
      [0, 1].map((layer) => [part(layer, 0), part(layer, 1)]),
    )
    expect(description).toMatchObject({ method: 'prefix_tuning', virtualTokens: COUNT, bytes: weights.bytes })
  })

  it('is refused by tensor or field', async () => {
    await expectRefused(prefix({ num_attention_heads: 2 }), 'base_mismatch', '"num_attention_heads" is 2')
    await expectRefused(prefix({ num_layers: 1 }), 'invalid_adapter', 'prompt_embeddings')
    await expectRefused(prefix(), 'base_mismatch', '"num_layers" is 2', tinyInfo({ layers: 4 }))
    await expectRefused(prefix(), 'base_mismatch', '"token_dim" is 4', tinyInfo({ headDim: 8 }))
    const nan = prefix()
    nan.tensors['prompt_embeddings'] = { shape: [COUNT, 16], values: [0, NaN] }
    await expectRefused(nan, 'invalid_adapter', 'prompt_embeddings" has NaN')
  })
})
