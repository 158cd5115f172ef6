import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import type { NewTensor } from '../../safetensors/writer.ts'
import { readFinite } from '../values.ts'
import type { LoraFiles, LoraModule } from './lora.ts'
import { readLora } from './lora.ts'

/**
 * `linear` adds the factors, so that products of factors of different adapters come in; it keeps the rank. `cat` puts them side by side,
 * which is the exact sum of the updates; the ranks add up.
 */
export const COMBINATIONS = ['linear', 'cat'] as const
export type Combination = (typeof COMBINATIONS)[number]

/** One adapter to merge. */
export interface LoraSource {
  /** What messages call it. */
  readonly name: string
  readonly weight: number
  readonly config: JsonObject
  readonly file: SafetensorsFile
}

/** A module in one of the adapters that have it. */
interface Share {
  readonly module: LoraModule
  readonly source: LoraSource
}

/** A merged module: both factors, to be computed when they are written. */
interface MergedModule {
  readonly path: string
  readonly rank: number
  readonly tensors: readonly NewTensor[]
}

/**
 * Merges LoRAs as PEFT's `add_weighted_adapter` does. With s = weight · scale of an adapter:
 *
 * - `linear`: A = Σ sign(s) √|s| Aᵢ, B = Σ √|s| Bᵢ
 * - `cat`: A = [s₁A₁; s₂A₂ …], B = [B₁ B₂ …]
 *
 * A module is merged from the adapters that have it. A single adapter is always merged as `linear`. PEFT fills the factors of `cat` with
 * zeros up to the largest rank; here modules keep their true rank.
 *
 * @returns configuration (scale 1 everywhere) and tensors of one LoRA
 * @throws TroupeError `invalid_request` naming the adapter and what stands in the way, and as `readLora`
 */
export function mergeLoras(
  combination: Combination,
  sources: readonly LoraSource[],
): { readonly config: JsonObject; readonly tensors: readonly NewTensor[] } {
  const files = sources.map(readPlain)
  const shares = new Map<string, Share[]>()
  for (const [i, { modules }] of files.entries()) {
    for (const module of modules) {
      const share = { module, source: sources[i]! }
      shares.set(module.path, [...(shares.get(module.path) ?? []), share])
    }
  }
  const merge = combination === 'linear' || sources.length === 1 ? mergeLinear : concatenate
  const modules = [...shares].map(([path, parts]) => {
    for (const part of parts) checkDims(part, parts[0]!)
    return merge(path, parts)
  })
  return { config: mergedConfig(files, modules), tensors: modules.flatMap(({ tensors }) => tensors) }
}

function readPlain(source: LoraSource): LoraFiles {
  const { name, config, file } = source
  if (config['peft_type'] !== 'LORA') throw refusal(`${name} is no LoRA of PEFT, and only such are merged`)
  const files = readLora(config, file)
  if (files.dora) throw refusal(`${name} is a DoRA, whose lengths of rows have no sum: only plain LoRAs are merged`)
  if (files.biased) throw refusal(`${name} has biases (lora_bias), which PEFT leaves out of merges: train it without`)
  const { copies, modules } = files
  const rows = copies.find(({ path, tokensOnly }) => tokensOnly || !modules.some((module) => module.path === path))
  if (rows) throw refusal(`${name} has rows of embedding or head (tensor "${rows.tensor}"), which merges do not have`)
  return files
}

function checkDims({ module, source }: Share, first: Share): void {
  const { path, inDim, outDim } = module
  if (inDim === first.module.inDim && outDim === first.module.outDim) return
  const dims = `[${inDim}, ${outDim}] in ${source.name} and [${first.module.inDim}, ${first.module.outDim}] in ${first.source.name}`
  throw refusal(`${path} is ${dims}: merge adapters of one base model`)
}

function mergeLinear(path: string, shares: readonly Share[]): MergedModule {
  const [first] = shares as [Share]
  const { rank } = first.module
  for (const { module, source } of shares) {
    if (module.rank === rank) continue
    const ranks = `rank ${rank} in ${first.source.name} and ${module.rank} in ${source.name}`
    throw refusal(`${path} has ${ranks}; "linear" needs equal ranks: use "cat"`, 'combination')
  }
  const sum = (part: 'down' | 'up', factor: (strength: number) => number) => (): Float32Array => {
    const total = new Float64Array(rank * (part === 'down' ? first.module.inDim : first.module.outDim))
    for (const share of shares) {
      const by = factor(strengthOf(share))
      const values = readPart(share, part)
      for (let i = 0; i < total.length; i++) total[i]! += by * values[i]!
    }
    return Float32Array.from(total)
  }
  const down = sum('down', (strength) => Math.sqrt(Math.abs(strength)) * (strength < 0 ? -1 : 1))
  const up = sum('up', (strength) => Math.sqrt(Math.abs(strength)))
  return mergedModule(path, rank, first.module, down, up)
}

function concatenate(path: string, shares: readonly Share[]): MergedModule {
  const [{ module: first }] = shares as [Share]
  const { inDim, outDim } = first
  const rank = shares.reduce((sum, { module }) => sum + module.rank, 0)
  const down = (): Float32Array => {
    const rows = new Float32Array(rank * inDim)
    let filled = 0
    for (const share of shares) {
      const strength = strengthOf(share)
      const values = readPart(share, 'down')
      for (let i = 0; i < values.length; i++) rows[filled + i] = strength * values[i]!
      filled += values.length
    }
    return rows
  }
  const up = (): Float32Array => {
    const columns = new Float32Array(outDim * rank)
    let column = 0
    for (const share of shares) {
      const own = share.module.rank
      const values = readPart(share, 'up')
      for (let row = 0; row < outDim; row++) {
        columns.set(values.subarray(row * own, (row + 1) * own), row * rank + column)
      }
      column += own
    }
    return columns
  }
  return mergedModule(path, rank, first, down, up)
}

/** Weight and scale together. */
function strengthOf({ module, source }: Share): number {
  return source.weight * module.scale
}

function readPart({ module, source }: Share, part: 'down' | 'up'): Float32Array {
  return readFinite(source.file, module.names[part])
}

function mergedModule(
  path: string,
  rank: number,
  { inDim, outDim, names }: LoraModule,
  down: () => Float32Array,
  up: () => Float32Array,
): MergedModule {
  const nameOf = (side: 'A' | 'B', given: string): string =>
    `base_model.model.${path}.${given.includes('.lora_embedding_') ? `lora_embedding_${side}` : `lora_${side}.weight`}`
  const tensors = [
    { name: nameOf('A', names.down), shape: [rank, inDim], values: down },
    { name: nameOf('B', names.up), shape: [outDim, rank], values: up },
  ]
  return { path, rank, tensors }
}

/** The configuration names every module by its path: no other way to select holds for adapters that select differently. */
function mergedConfig(files: readonly LoraFiles[], modules: readonly MergedModule[]): JsonObject {
  const rank = modules.reduce((largest, module) => Math.max(largest, module.rank), 0)
  const lower = modules.filter((module) => module.rank < rank)
  const pattern = Object.fromEntries(lower.map((module) => [module.path.replaceAll('.', '\\.'), module.rank]))
  return {
    alpha_pattern: pattern,
    base_model_name_or_path: files.find(({ config }) => config.baseModel !== null)?.config.baseModel ?? null,
    bias: 'none',
    fan_in_fan_out: files.some(({ config }) => config.fanInFanOut),
    inference_mode: true,
    lora_alpha: rank,
    lora_dropout: 0,
    peft_type: 'LORA',
    r: rank,
    rank_pattern: pattern,
    target_modules: modules.map(({ path }) => path),
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: false,
  }
}

function refusal(message: string, param = 'adapters'): TroupeError {
  return new TroupeError('invalid_request', message, { param })
}
