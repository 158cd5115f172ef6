import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { CheckpointWeights } from '../../src/model/base-weights.ts'
import { openCheckpoint } from '../../src/model/checkpoint.ts'
import { expectRefusal } from '../support/refusal.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures/conformance')

function open(family: string): { weights: CheckpointWeights; tensor: (name: string) => Float32Array } {
  const dir = join(FIXTURES, family, 'model')
  const [weights, checkpoint] = [new CheckpointWeights(dir), openCheckpoint(dir)]
  onTestFinished(() => {
    weights.close()
    checkpoint.close()
  })
  return { weights, tensor: (name) => checkpoint.readF32(name) }
}

function read(
  rows: ReturnType<CheckpointWeights['rows']>,
  width: number,
  first = 0,
  count = rows.outDim,
): Float32Array {
  const into = new Float32Array(count * width)
  rows.readRows(into, first)
  return into
}

describe('the base model’s own weights', () => {
  it('are rows of a linear layer, with its bias', () => {
    const { weights, tensor } = open('qwen2')
    const whole = tensor('model.layers.1.self_attn.k_proj.weight')
    const rows = weights.rows(1, 'k_proj')
    const width = whole.length / rows.outDim
    expect(read(rows, width)).toEqual(whole)
    expect(read(rows, width, 3, 2)).toEqual(whole.slice(3 * width, 5 * width))
    const bias = new Float32Array(rows.outDim)
    rows.readBias(bias)
    expect(bias).toEqual(tensor('model.layers.1.self_attn.k_proj.bias'))
    const none = new Float32Array(8).fill(0)
    weights.rows(1, 'o_proj').readBias(none)
    expect([...none]).toEqual(new Array(8).fill(0))
  })

  it('are found in fused modules that are stored transposed', () => {
    const { weights, tensor } = open('gpt2')
    const whole = tensor('h.0.attn.c_attn.weight')
    const bias = tensor('h.0.attn.c_attn.bias')
    const rows = weights.rows(0, 'v_proj')
    const hidden = rows.outDim
    const expected = Array.from({ length: hidden * hidden }, (_, at) => {
      return whole[(at % hidden) * 3 * hidden + 2 * hidden + Math.floor(at / hidden)]!
    })
    expect([...read(rows, hidden)]).toEqual(expected)
    const own = new Float32Array(hidden)
    rows.readBias(own)
    expect(own).toEqual(bias.slice(2 * hidden))
  })

  it('have an embedding, and a head that may be the same', () => {
    const tied = open('qwen2')
    const embedding = tied.tensor('model.embed_tokens.weight')
    for (const kind of ['embed_tokens', 'lm_head'] as const) {
      const rows = tied.weights.rows(0, kind)
      expect(read(rows, embedding.length / rows.outDim)).toEqual(embedding)
    }
    const { weights, tensor } = open('llama')
    expect(read(weights.rows(0, 'lm_head'), 64)).toEqual(tensor('lm_head.weight'))
    expect(read(weights.rows(0, 'embed_tokens'), 64)).toEqual(tensor('model.embed_tokens.weight'))
  })

  it('are asked of a folder only when they are needed', () => {
    const weights = new CheckpointWeights(join(FIXTURES, 'nowhere'))
    expectRefusal(() => weights.rows(0, 'q_proj'), 'invalid_model', 'does not exist')
    weights.close()
  })
})
