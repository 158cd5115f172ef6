import { expect, it } from 'vitest'
import { readArchitecture } from '../../src/model/families/families.ts'
import { pickPrecision } from '../../src/model/pick-precision.ts'
import { TINY_LLAMA } from '../support/tiny-checkpoint.ts'

/** Sizes as published: SmolLM2 135M, Qwen2.5 0.5B, Llama 3.2 3B and 3.1 8B. */
const SIZES = [
  { hidden: 576, layers: 30, mlp: 1536, heads: 9, kvHeads: 3, vocab: 49152, tied: true, picked: 'f32' },
  { hidden: 896, layers: 24, mlp: 4864, heads: 14, kvHeads: 2, vocab: 151936, tied: true, picked: 'int8' },
  { hidden: 3072, layers: 28, mlp: 8192, heads: 24, kvHeads: 8, vocab: 128256, tied: true, picked: 'int4' },
  { hidden: 4096, layers: 32, mlp: 14336, heads: 32, kvHeads: 8, vocab: 128256, tied: false, picked: 'int4' },
] as const

it.each(SIZES)('auto is $picked for $layers layers of $hidden', (size) => {
  const architecture = readArchitecture({
    ...TINY_LLAMA,
    hidden_size: size.hidden,
    num_hidden_layers: size.layers,
    intermediate_size: size.mlp,
    num_attention_heads: size.heads,
    num_key_value_heads: size.kvHeads,
    head_dim: size.hidden / size.heads,
    vocab_size: size.vocab,
    tie_word_embeddings: size.tied,
  })
  expect(pickPrecision('auto', architecture, null)).toBe(size.picked)
  expect(pickPrecision('f32', architecture, null)).toBe('f32')
})
