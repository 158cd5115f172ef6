import { join } from 'node:path'
import type { AdapterWeights, Branch } from '../../src/core/branch.ts'
import type { EngineOptions } from '../../src/core/messages.ts'
import type { ModelInfo, Precision } from '../../src/core/model-info.ts'
import { prepareModel } from '../../src/model/prepare.ts'

/** A conformance model, prepared, and options of an engine for it that is small and has room for a few sequences. */
export async function engineFor(
  family: string,
  cacheDir: string,
  precision: Precision = 'f32',
): Promise<{ readonly options: EngineOptions; readonly info: ModelInfo }> {
  const modelDir = join(import.meta.dirname, '../fixtures/conformance', family, 'model')
  const { dir, manifest } = await prepareModel({ modelDir, precision, cacheDir })
  const sizes = { maxBatch: 8, maxContext: 64, stepTokens: 64, kvPages: 64, speculation: 0, threads: 1 }
  const formats = { kvFormat: 'f32', adapterFormat: 'f32' } as const
  return { options: { preparedDir: dir, device: 'cpu', ...sizes, ...formats }, info: manifest.info }
}

/** A LoRA on every query projection (where there is none apart, on every output projection) with values that follow from `seed`. */
export function loraFor({ linear, layers }: ModelInfo, digest: string, seed: number, scale = 0.5): AdapterWeights {
  const kind = linear.q_proj === undefined ? 'o_proj' : 'q_proj'
  const [inDim, outDim] = linear[kind]!
  const rank = 4
  const noise = (length: number, offset: number): Float32Array =>
    Float32Array.from({ length }, (_, i) => Math.sin((i + offset) * seed))
  const branches = Array.from({ length: layers }, (_, layer): Branch => {
    const [down, up] = [noise(rank * inDim, layer), noise(rank * outDim, layer + 1)]
    return { layer, kind, rank, scale, activation: 'identity', down, up, a: null, c: null }
  })
  return { digest, method: 'lora', branches, gains: [], virtualTokens: null, tokenRows: null, bytes: 0 }
}
