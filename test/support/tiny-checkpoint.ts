import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TensorSpec } from './safetensors-writer.ts'
import { writeSafetensors } from './safetensors-writer.ts'

export type Tensors = Record<string, TensorSpec>

/** `config.json` of a Llama of a few thousand parameters: 2 layers, hidden 8, 2 query heads and 1 key head of 4. */
export const TINY_LLAMA = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  hidden_size: 8,
  intermediate_size: 40,
  max_position_embeddings: 16,
  num_attention_heads: 2,
  num_hidden_layers: 2,
  num_key_value_heads: 1,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
  vocab_size: 12,
}

/** Numbers between -1 and 1 that differ from seed to seed and never change. */
export function noise(seed: number, count: number): Float32Array {
  let state = seed >>> 0
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
}

function weight(seed: number, shape: readonly number[]): TensorSpec {
  return {
    shape,
    values: noise(
      seed,
      shape.reduce((product, size) => product * size, 1),
    ),
  }
}

/** The tensors of `TINY_LLAMA`; with biases and head norms on demand, as other families have them. */
export function tinyTensors(options: { readonly biases?: readonly string[]; readonly qkNorm?: boolean } = {}): Tensors {
  const tensors: Tensors = {
    'model.embed_tokens.weight': weight(1, [12, 8]),
    'model.norm.weight': weight(2, [8]),
    'lm_head.weight': weight(3, [12, 8]),
  }
  const linear = {
    'self_attn.q_proj': [8, 8],
    'self_attn.k_proj': [4, 8],
    'self_attn.v_proj': [4, 8],
    'self_attn.o_proj': [8, 8],
    'mlp.gate_proj': [40, 8],
    'mlp.up_proj': [40, 8],
    'mlp.down_proj': [8, 40],
  }
  let seed = 10
  for (const layer of [0, 1]) {
    const prefix = `model.layers.${layer}`
    tensors[`${prefix}.input_layernorm.weight`] = weight(seed++, [8])
    tensors[`${prefix}.post_attention_layernorm.weight`] = weight(seed++, [8])
    for (const [name, shape] of Object.entries(linear)) {
      tensors[`${prefix}.${name}.weight`] = weight(seed++, shape)
      if (options.biases?.includes(name)) tensors[`${prefix}.${name}.bias`] = weight(seed++, shape.slice(0, 1))
    }
    if (!options.qkNorm) continue
    tensors[`${prefix}.self_attn.q_norm.weight`] = weight(seed++, [4])
    tensors[`${prefix}.self_attn.k_norm.weight`] = weight(seed++, [4])
  }
  return tensors
}

/** Writes a model folder with one weight file. */
export function writeCheckpoint(dir: string, config: object = TINY_LLAMA, tensors: Tensors = tinyTensors()): string {
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config))
  writeSafetensors(join(dir, 'model.safetensors'), tensors)
  return dir
}

/** The same in two shards and an index. */
export function writeShardedCheckpoint(
  dir: string,
  config: object = TINY_LLAMA,
  tensors: Tensors = tinyTensors(),
): string {
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config))
  const weightMap: Record<string, string> = {}
  const entries = Object.entries(tensors)
  for (const shard of [0, 1]) {
    const file = `model-0000${shard + 1}-of-00002.safetensors`
    const part = entries.filter((_, i) => i % 2 === shard)
    writeSafetensors(join(dir, file), Object.fromEntries(part))
    for (const [name] of part) weightMap[name] = file
  }
  writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }))
  return dir
}
