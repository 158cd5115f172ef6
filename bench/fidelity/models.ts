import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openCheckpoint } from '../../src/model/checkpoint.ts'
import { quantizeRows } from '../../src/model/quantize.ts'
import { writeSafetensors } from '../../test/support/safetensors-writer.ts'
import type { TensorSpec } from '../../test/support/safetensors-writer.ts'

/** A model to measure: the demo's own, or one that train.py made. */
export interface TrainedModel {
  readonly family: string
  readonly dir: string
}

const HERE = import.meta.dirname
const ROOT = join(HERE, '../..')
const TRAINED = [
  ...['mistral', 'qwen2', 'qwen3', 'gemma2', 'gemma3_text', 'phi3'],
  ...['smollm3', 'granite', 'gpt2', 'gpt_neox', 'opt'],
]

/** The models that are there, and the families whose model is missing. */
export function trainedModels(): { models: TrainedModel[]; missing: string[] } {
  const dirOf = (family: string): string => join(HERE, '.work', family)
  const there = TRAINED.filter((family) => existsSync(join(dirOf(family), 'config.json')))
  const demo = { family: 'llama', dir: join(ROOT, 'models/demo') }
  return {
    models: [demo, ...there.map((family) => ({ family, dir: dirOf(family) }))],
    missing: TRAINED.filter((family) => !there.includes(family)),
  }
}

/** The held-out documents. */
export function heldoutText(): string {
  return readFileSync(join(HERE, 'heldout.txt'), 'utf8')
}

/** Our pages: English prose and some code. */
export function pagesText(): string {
  const pages = ['README.md', 'docs/adapters.md', 'docs/engine.md', 'docs/operations.md', 'docs/text.md']
  return pages.map((page) => readFileSync(join(ROOT, page), 'utf8')).join('\n')
}

/**
 * A copy of a Llama folder with linear layers rounded to 4 bits, whose values are f32: what quantised weights mean when the products are exact.
 *
 * @param size inputs of a block
 * @param head whether the head is rounded too
 */
export function roundedCopy(dir: string, parent: string, size: number, head: boolean): string {
  const checkpoint = openCheckpoint(dir)
  try {
    const tensors: Record<string, TensorSpec> = {}
    for (const name of checkpoint.tensorNames) {
      const { shape } = checkpoint.entry(name)
      const values = checkpoint.readF32(name)
      tensors[name] = { shape, values: name.endsWith('_proj.weight') ? rounded(values, shape, size) : values }
    }
    const { shape, values } = tensors['model.embed_tokens.weight']!
    tensors['lm_head.weight'] = { shape, values: head ? rounded(Float32Array.from(values!), shape, size) : values }
    const copy = join(parent, `llama-${size}-${head}`)
    mkdirSync(copy, { recursive: true })
    writeFileSync(join(copy, 'config.json'), JSON.stringify({ ...checkpoint.config, tie_word_embeddings: false }))
    writeSafetensors(join(copy, 'model.safetensors'), tensors)
    return copy
  } finally {
    checkpoint.close()
  }
}

function rounded(weights: Float32Array, shape: readonly number[], size: number): Float32Array {
  const [rows, cols] = shape as [number, number]
  const blocks = Math.ceil(cols / size)
  const steps = new Uint8Array((rows * blocks * size) / 2)
  const scales = new Float32Array(rows * blocks)
  quantizeRows(weights, rows, cols, steps, scales, size)
  return weights.map((_, i) => {
    const [row, col] = [Math.floor(i / cols), i % cols]
    const block = row * blocks + Math.floor(col / size)
    const at = block * size + (col % size)
    const step = (steps[at >> 1]! >> (4 * (at & 1))) & 15
    return (step - 8) * scales[block]!
  })
}
