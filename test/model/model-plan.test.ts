import { expect, it } from 'vitest'
import type { Architecture } from '../../src/model/architecture.ts'
import { readArchitecture } from '../../src/model/families/families.ts'
import { pickPrecision } from '../../src/model/model-plan.ts'
import { TINY_LLAMA } from '../support/tiny-checkpoint.ts'

/** Sizes as published: SmolLM2 135M, Qwen2.5 0.5B, Llama 3.2 3B and 3.1 8B; picked with 24 GiB and with 8 GiB of memory. */
const SIZES = [
  { hidden: 576, layers: 30, mlp: 1536, heads: 9, kvHeads: 3, vocab: 49152, tied: true, large: 'bf16', small: 'bf16' },
  {
    hidden: 896,
    layers: 24,
    mlp: 4864,
    heads: 14,
    kvHeads: 2,
    vocab: 151936,
    tied: true,
    large: 'bf16',
    small: 'bf16',
  },
  {
    hidden: 3072,
    layers: 28,
    mlp: 8192,
    heads: 24,
    kvHeads: 8,
    vocab: 128256,
    tied: true,
    large: 'bf16',
    small: 'int8',
  },
  {
    hidden: 4096,
    layers: 32,
    mlp: 14336,
    heads: 32,
    kvHeads: 8,
    vocab: 128256,
    tied: false,
    large: 'int8',
    small: 'int4',
  },
] as const

function architectureOf(size: (typeof SIZES)[number]): Architecture {
  return readArchitecture({
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
}

it.each(SIZES)('auto is $large or $small for $layers layers of $hidden, by memory', (size) => {
  const architecture = architectureOf(size)
  const pick = (choice: 'auto' | 'f32', memoryBytes: number): string =>
    pickPrecision(choice, architecture, null, { bf16Exact: true, memoryBytes })
  expect(pick('auto', 24 * 2 ** 30)).toBe(size.large)
  expect(pick('auto', 8 * 2 ** 30)).toBe(size.small)
  expect(pick('f32', 8 * 2 ** 30)).toBe('f32')
})

it('auto keeps small checkpoints in f32 where bf16 would lose something', () => {
  const facts = { bf16Exact: false, memoryBytes: 24 * 2 ** 30 }
  expect(pickPrecision('auto', architectureOf(SIZES[0]), null, facts)).toBe('f32')
  expect(pickPrecision('auto', architectureOf(SIZES[1]), null, facts)).toBe('bf16')
})
