import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { GREEDY } from '../../src/core/generation.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'
import { WEIGHTS_FILE } from '../../src/model/prepared.ts'

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

/** Compares every block whose modules were packed with what they are, value for value, whatever the precision. */
export function checkBlocks(prepared: PreparedModel, expected: PackedMatrices): void {
  for (const [block, modules] of Object.entries(BLOCKS)) {
    if (!(modules[0]! in expected)) continue
    const inDim = expected[modules[0]!]!.shape[1]
    const plain = `${block}.weight` in prepared.manifest.tensors
    const matrix = plain
      ? turned(new Float32Array(bytes(prepared, `${block}.weight`).buffer), inDim)
      : blockMatrix(prepared, block, inDim)
    checkModules(matrix, modules, expected)
  }
}

function bytes({ dir, manifest }: PreparedModel, name: string): Uint8Array {
  const { offset, bytes: count } = manifest.tensors[name]!
  return Uint8Array.from(readFileSync(join(dir, WEIGHTS_FILE)).subarray(offset, offset + count))
}

/** A block's matrix `[out, in]` as MatMulNBits defines it, from the prepared bytes. */
function blockMatrix(prepared: PreparedModel, block: string, inDim: number): Float32Array {
  const { tensors } = prepared.manifest
  const bits = `${block}.q4` in tensors ? 4 : 8
  const [outDim, blocks, width] = tensors[`${block}.q${bits}`]!.shape as [number, number, number]
  const size = (width * 8) / bits
  const steps = bytes(prepared, `${block}.q${bits}`)
  const scales = new Float32Array(bytes(prepared, `${block}.scales`).buffer)
  const zeros = `${block}.zeros` in tensors ? bytes(prepared, `${block}.zeros`) : null
  const inputs = `${block}.inputs` in tensors ? new BigInt64Array(bytes(prepared, `${block}.inputs`).buffer) : null
  const nibble = (all: Uint8Array, at: number, i: number): number =>
    bits === 8 ? all[at + i]! : (all[at + (i >> 1)]! >> (4 * (i & 1))) & 15
  const matrix = new Float32Array(outDim * inDim)
  for (let out = 0; out < outDim; out++) {
    for (let i = 0; i < inDim; i++) {
      const group = Math.floor(i / size)
      const step = nibble(steps, (out * blocks + group) * width, i % size)
      const zero = zeros === null ? 2 ** (bits - 1) : nibble(zeros, out * Math.ceil((blocks * bits) / 8), group)
      matrix[out * inDim + Number(inputs?.[i] ?? i)] = (step - zero) * scales[out * blocks + group]!
    }
  }
  return matrix
}

/** `[in, out]` as `[out, in]`. */
function turned(weights: Float32Array, inDim: number): Float32Array {
  const outDim = weights.length / inDim
  return Float32Array.from(weights, (_, i) => weights[(i % inDim) * outDim + Math.floor(i / inDim)]!)
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
  const sizes = { maxBatch: 1, maxContext: 32, prefillChunk: 16, bankBytes: 1e6, graphBytes: 1e9, prefixCacheBytes: 0 }
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
