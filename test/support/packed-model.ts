import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import { GREEDY } from '../../src/core/generation.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'
import { rowsOf } from './prepared-rows.ts'

/** The matrices of the packed modules of a Llama of one layer, in f32, by module. */
export type PackedMatrices = Readonly<
  Record<
    string,
    { readonly shape: readonly [number, number]; readonly sha256: string; readonly first: readonly number[] }
  >
>

/** Modules whose outputs lie side by side in a block. */
const BLOCKS: Readonly<Record<string, readonly string[]>> = {
  'layers.0.qkv': ['q_proj', 'k_proj', 'v_proj'].map((kind) => `model.layers.0.self_attn.${kind}`),
  'layers.0.o': ['model.layers.0.self_attn.o_proj'],
  'layers.0.gate_up': ['gate_proj', 'up_proj'].map((kind) => `model.layers.0.mlp.${kind}`),
  'layers.0.down': ['model.layers.0.mlp.down_proj'],
  head: ['lm_head'],
}

/** How far weights kept in blocks may be from the packed ones, in steps: their scales and minima are rounded to f16. */
const ROUNDED_STEPS = 0.02

/**
 * Compares every block whose modules were packed with what they are: prepared to f32 value for value, kept in steps but for the rounding of
 * scales to f16.
 */
export function checkBlocks(plain: PreparedModel, kept: PreparedModel, expected: PackedMatrices): void {
  for (const [block, modules] of Object.entries(BLOCKS)) {
    if (!(modules[0]! in expected)) continue
    const { rows, inDim } = rowsOf(plain, block)
    checkModules(rows, modules, expected)
    const found = rowsOf(kept, block).rows
    for (let start = 0; start < rows.length; start += inDim) {
      const row = rows.subarray(start, start + inDim)
      const largest = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      row.forEach((value, i) => {
        expect(Math.abs(found[start + i]! - value), block).toBeLessThanOrEqual((ROUNDED_STEPS * largest) / 7)
      })
    }
  }
}

function checkModules(matrix: Float32Array, modules: readonly string[], expected: PackedMatrices): void {
  let start = 0
  for (const module of modules) {
    const { shape, sha256, first } = expected[module]!
    const part = matrix.slice(start, (start += shape[0] * shape[1]))
    expect([...part.subarray(0, 8)], module).toEqual(first)
    expect(createHash('sha256').update(new Uint8Array(part.buffer)).digest('hex'), module).toBe(sha256)
  }
  expect(start).toBe(matrix.length)
}

/** The log-probabilities of a prompt's tokens from the second on. */
export async function promptLogprobs({ dir }: PreparedModel, tokens: readonly number[]): Promise<number[]> {
  const sizes = {
    maxBatch: 1,
    maxContext: 32,
    stepTokens: 16,
    kvPages: 4,
    kvFormat: 'f32',
    adapterFormat: 'f32',
  } as const
  const engine = await Engine.start({ preparedDir: dir, device: 'cpu', threads: 1, speculation: 0, ...sizes })
  try {
    const request = { tokens: Int32Array.from(tokens), mix: [], sampling: GREEDY, maxTokens: 1, stopTokens: [] }
    const found: number[] = []
    for await (const event of engine.generate({ ...request, logprobs: 0, promptLogprobs: true })) {
      if (event.type === 'prompt') found.push(...event.logprobs.slice(1).map((item) => item!.logprob))
    }
    return found
  } finally {
    await engine.stop()
  }
}
