import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Shapes } from './shapes.ts'
import { SHAPES, linearShapes } from './shapes.ts'
import type { PlannedTensor } from './tensor-file.ts'
import { writeNoise } from './tensor-file.ts'
import { writeTokenizer } from './tokenizer.ts'

/** Standard deviation of the weights, as most models are initialised. */
const DEVIATION = 0.02

/** Writes a synthetic base model as a Hugging Face folder, two bytes a weight, unless it is there. */
export function writeModel(dir: string, shapes: Shapes = SHAPES): void {
  const weights = join(dir, 'model.safetensors')
  if (existsSync(weights)) return
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'config.json'), JSON.stringify(modelConfig(shapes), null, 2))
  writeTokenizer(dir, shapes.vocab)
  writeNoise(weights, modelTensors(shapes), { dtype: 'BF16', seed: 1 })
}

function modelConfig(shapes: Shapes): object {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    attention_bias: false,
    bos_token_id: 0,
    eos_token_id: 1,
    head_dim: shapes.headDim,
    hidden_act: 'silu',
    hidden_size: shapes.hidden,
    intermediate_size: shapes.mlp,
    max_position_embeddings: shapes.maxContext,
    mlp_bias: false,
    num_attention_heads: shapes.heads,
    num_hidden_layers: shapes.layers,
    num_key_value_heads: shapes.kvHeads,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: false,
    torch_dtype: 'bfloat16',
    vocab_size: shapes.vocab,
  }
}

function modelTensors(shapes: Shapes): PlannedTensor[] {
  const { hidden, layers, vocab } = shapes
  const weight = (name: string, ...shape: number[]): PlannedTensor => ({
    ...{ name: `${name}.weight`, shape },
    deviation: shape.length === 1 ? null : DEVIATION,
  })
  const tensors = [weight('model.embed_tokens', vocab, hidden)]
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}`
    tensors.push(weight(`${prefix}.input_layernorm`, hidden), weight(`${prefix}.post_attention_layernorm`, hidden))
    for (const { name, block, inDim, outDim } of linearShapes(shapes)) {
      tensors.push(weight(`${prefix}.${block}.${name}`, outDim, inDim))
    }
  }
  return [...tensors, weight('model.norm', hidden), weight('lm_head', vocab, hidden)]
}
