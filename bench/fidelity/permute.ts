import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openCheckpoint } from '../../src/model/checkpoint.ts'
import { readArchitecture } from '../../src/model/families/families.ts'
import { writeSafetensors } from '../../test/support/safetensors-writer.ts'
import type { TensorSpec } from '../../test/support/safetensors-writer.ts'
import { Noise } from '../synthetic/noise.ts'

/**
 * A copy of a Llama folder that computes the same with its channels in another order. A checkpoint that was once quantised in blocks lies on the
 * grid of those blocks, and rounding it again in the same blocks would lose nothing; in another order it has no grid.
 *
 * @returns `target`
 */
export function permutedCopy(dir: string, target: string): string {
  if (existsSync(join(target, 'model.safetensors'))) return target
  const checkpoint = openCheckpoint(dir)
  try {
    const { hidden, mlp, heads, kvHeads, headDim, family } = readArchitecture(checkpoint.config)
    if (family !== 'llama') throw new Error(`only a Llama can be put in another order, not a ${family}`)
    const noise = new Noise(7)
    const stream = shuffled(hidden, noise)
    const inner = shuffled(mlp, noise)
    const within = shuffled(headDim, noise)
    const values = Array.from({ length: kvHeads * headDim }, (_, i) => i - (i % headDim) + within[i % headDim]!)
    const attended = Array.from({ length: heads * headDim }, (_, i) => i - (i % headDim) + within[i % headDim]!)
    const orders: Readonly<
      Record<string, readonly [rows: readonly number[] | null, columns: readonly number[] | null]>
    > = {
      embed_tokens: [null, stream],
      lm_head: [null, stream],
      norm: [stream, null],
      input_layernorm: [stream, null],
      post_attention_layernorm: [stream, null],
      q_proj: [null, stream],
      k_proj: [null, stream],
      v_proj: [values, stream],
      o_proj: [stream, attended],
      gate_proj: [inner, stream],
      up_proj: [inner, stream],
      down_proj: [stream, inner],
    }
    const tensors: Record<string, TensorSpec> = {}
    for (const name of checkpoint.tensorNames) {
      const { shape } = checkpoint.entry(name)
      const order = orders[name.split('.').at(-2)!]
      if (order === undefined) throw new Error(`${name} has no place in a Llama`)
      tensors[name] = { shape, values: permuted(checkpoint.readF32(name), shape, order) }
    }
    mkdirSync(target, { recursive: true })
    for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
      if (existsSync(join(dir, file))) cpSync(join(dir, file), join(target, file))
    writeSafetensors(join(target, 'model.safetensors'), tensors)
    writeFileSync(join(target, 'README.md'), `The model of ${dir} with its channels in another order.\n`)
    return target
  } finally {
    checkpoint.close()
  }
}

function shuffled(count: number, noise: Noise): number[] {
  const order = Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const j = noise.below(i + 1)
    ;[order[i], order[j]] = [order[j]!, order[i]!]
  }
  return order
}

function permuted(
  values: Float32Array,
  shape: readonly number[],
  [rows, columns]: readonly [readonly number[] | null, readonly number[] | null],
): Float32Array {
  const width = shape[1] ?? 1
  return Float32Array.from(values, (_, i) => {
    const row = Math.floor(i / width)
    const column = i % width
    return values[(rows === null ? row : rows[row]!) * width + (columns === null ? column : columns[column]!)]!
  })
}
