import { describe, expect, it } from 'vitest'
import type { Architecture } from '../../../src/model/architecture.ts'
import { readArchitecture } from '../../../src/model/families/families.ts'
import { expectRefusal } from '../../support/refusal.ts'
import { TINY_LLAMA } from '../../support/tiny-checkpoint.ts'

const QWEN2 = { ...TINY_LLAMA, architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2' }
const QWEN3 = { ...TINY_LLAMA, architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3' }

/** Linear layers with a bias. */
function biased({ modules }: Architecture): string[] {
  return modules.flatMap((module) => (module.biased ? module.parts.map(({ kind }) => kind) : []))
}

describe('the three families', () => {
  it('llama: no biases unless asked for, head size from the hidden size', () => {
    const plain = readArchitecture(TINY_LLAMA)
    expect(plain).toMatchObject({ family: 'llama', headDim: 4, kvHeads: 1, tiedHead: false })
    expect(biased(plain)).toEqual([])
    expect(plain.names.qNorm).toBeUndefined()
    const more = readArchitecture({ ...TINY_LLAMA, attention_bias: true, mlp_bias: true, head_dim: 6 })
    expect(more.headDim).toBe(6)
    expect(biased(more)).toEqual(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'])
  })

  it('llama: as many key heads as query heads when the configuration says nothing', () => {
    expect(readArchitecture({ ...TINY_LLAMA, num_key_value_heads: null }).kvHeads).toBe(2)
  })

  it('qwen2: biases on q, k and v; an inert sliding window is no obstacle', () => {
    const read = readArchitecture({
      ...QWEN2,
      sliding_window: 4096,
      use_sliding_window: false,
      tie_word_embeddings: true,
    })
    expect(read).toMatchObject({ family: 'qwen2', tiedHead: true })
    expect(biased(read)).toEqual(['q_proj', 'k_proj', 'v_proj'])
  })

  it('qwen3: head norms and heads of 128 by default', () => {
    const read = readArchitecture({ ...QWEN3, layer_types: ['full_attention', 'full_attention'] })
    expect(read).toMatchObject({ family: 'qwen3', headDim: 128 })
    expect(biased(read)).toEqual([])
    expect(read.names.qNorm).toBe('model.layers.{i}.self_attn.q_norm.weight')
  })
})

describe('what would change the result is refused by field', () => {
  const cases: Record<string, [object, string]> = {
    'another family': [
      { architectures: ['BloomForCausalLM'], model_type: 'bloom' },
      'LlamaForCausalLM (llama), Mistral',
    ],
    'a base model without head': [{ architectures: ['LlamaModel'] }, 'LlamaModel'],
    'class and type at odds': [{ model_type: 'qwen2' }, 'model_type "qwen2"'],
    'another activation': [{ hidden_act: 'gelu' }, '"hidden_act" is "gelu"'],
    'a sliding window in use': [{ use_sliding_window: true }, '"use_sliding_window"'],
    'windowed layers': [{ layer_types: ['full_attention', 'sliding_attention'] }, '"layer_types"'],
    'part of each head rotated': [{ partial_rotary_factor: 0.5 }, '"partial_rotary_factor"'],
    'a rope of another kind': [{ rope_scaling: { rope_type: 'proportional' } }, '"rope_type" is "proportional"'],
    'an unknown rope field': [{ rope_scaling: { rope_type: 'linear', factor: 4, mscale: 2 } }, '"mscale"'],
    'linear rope without factor': [{ rope_scaling: { type: 'linear' } }, '"factor" is missing'],
    'a missing size': [{ hidden_size: undefined }, '"hidden_size" is missing'],
    'a size as text': [{ num_hidden_layers: '2' }, '"num_hidden_layers" is "2"'],
    'no layers': [{ num_hidden_layers: 0 }, '"num_hidden_layers" is 0'],
    'key heads that do not divide': [{ num_attention_heads: 4, num_key_value_heads: 3 }, 'divisor'],
    'an odd head': [{ head_dim: 5 }, '"head_dim" is 5'],
    'a flag as text': [{ tie_word_embeddings: 'true' }, '"tie_word_embeddings"'],
    'two rotations': [
      { rope_theta: 1e6, rope_parameters: { rope_type: 'default', rope_theta: 1e4 } },
      'rope_parameters',
    ],
  }
  for (const [what, [changes, text]] of Object.entries(cases)) {
    it(what, () => expectRefusal(() => readArchitecture({ ...TINY_LLAMA, ...changes }), 'invalid_model', text))
  }
})

describe('rotary frequencies', () => {
  const frequencies = (changes: object): readonly number[] =>
    readArchitecture({ ...TINY_LLAMA, head_dim: 8, ...changes }).ropes[0]!.inverseFrequencies

  it('fall by powers of theta, 10 000 by default', () => {
    const expected = [1, 0.1, 0.01, 0.001].map((value) => expect.closeTo(value, 12) as number)
    expect(frequencies({})).toEqual(expected)
    expect(frequencies({ rope_theta: undefined })).toEqual(expected)
  })

  it('are the same from rope_parameters', () => {
    const scaling = { rope_type: 'linear', factor: 4 }
    const old = frequencies({ rope_theta: 500, rope_scaling: scaling })
    const fresh = frequencies({ rope_theta: undefined, rope_parameters: { ...scaling, rope_theta: 500 } })
    expect(fresh).toEqual(old)
    expect(old[0]).toBe(0.25)
  })

  it('llama3: short waves kept, long ones slowed, blended between', () => {
    // Waves of 2π, 20π, 200π, 2000π positions: 163, 16.3, 1.63 and 0.163 turns in 1024.
    const scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 }
    const [first, second, third, fourth] = frequencies({
      rope_scaling: { ...scaling, original_max_position_embeddings: 1024 },
    })
    expect(first).toBe(1)
    expect(second).toBeCloseTo(0.1, 12)
    const kept = (1024 / (200 * Math.PI) - 1) / 3
    expect(third).toBeCloseTo(0.01 * (kept + (1 - kept) / 8), 12)
    expect(fourth).toBeCloseTo(0.001 / 8, 12)
  })
})
