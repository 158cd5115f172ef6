import { siteName } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { SafetensorsFile } from '../safetensors/file.ts'
import { checkFit, checkSites } from './base-fit.ts'
import type { BaseModule } from './base-modules.ts'
import { findModule, modulePaths } from './base-modules.ts'
import type { BranchPlan } from './branch-plan.ts'
import type { PeftConfig } from './peft-config.ts'
import { readPeftConfig } from './peft-config.ts'
import { moduleScales, selectModules } from './peft-modules.ts'

const WRAPPER = 'base_model.model.'
const LORA_KEY = /^(.+)\.lora_([AB])(?:\.default)?\.weight$/

/** Tensors that belong to features of PEFT other than plain LoRA, with the field that switches each off. */
const OTHER_FEATURES: readonly (readonly [RegExp, string])[] = [
  [/lora_magnitude_vector/, 'DoRA (use_dora)'],
  [/lora_embedding_[AB]/, 'LoRA on the embedding (target_modules)'],
  [/(lm_head|embed_out)\.lora_[AB]/, 'LoRA on the head (target_modules)'],
  [/embed_tokens\.lora_[AB]/, 'LoRA on the embedding (target_modules)'],
  [/lora_B\.(default\.)?bias$/, 'a bias of the LoRA itself (lora_bias)'],
  [/trainable_tokens/, 'trained tokens (trainable_token_indices)'],
  [/\.bias$/, 'trained biases of the base model (bias)'],
]

/** The LoRA of one module. */
export interface LoraModule {
  /** Path in the model that the adapter was saved from: `model.layers.3.self_attn.q_proj`. */
  readonly path: string
  readonly rank: number
  readonly scale: number
  readonly inDim: number
  readonly outDim: number
  /** Tensor `[rank, inDim]`. */
  readonly down: string
  /** Tensor `[outDim, rank]`. */
  readonly up: string
}

/** A PEFT LoRA read so far as it can be without its base model. */
export interface PeftAdapter {
  readonly config: PeftConfig
  readonly modules: readonly LoraModule[]
}

/**
 * Reads configuration and tensor shapes of a PEFT LoRA; y = W x + scale · B (A x) (Hu et al. 2021).
 *
 * @throws TroupeError `invalid_adapter`, `unsupported_adapter` or `base_mismatch` naming the field or tensor
 */
export function parsePeft(json: JsonObject, file: SafetensorsFile): PeftAdapter {
  const config = readPeftConfig(json)
  const pairs = collectPairs(file)
  const paths = [...pairs.keys()]
  if (paths.length === 0)
    throw new TroupeError('invalid_adapter', `${file.file} holds no tensors`, { param: file.file })
  const scales = moduleScales(config, paths)
  return { config, modules: paths.map((path, i) => readModule(path, pairs.get(path)!, scales[i]!, file)) }
}

/**
 * The branches of a PEFT LoRA in a base model: one per module, or one per linear layer of a fused module, all with the same `down`.
 *
 * @throws TroupeError `base_mismatch`, `unsupported_adapter` or `invalid_adapter` naming the tensor or field; see `checkFit` and `checkSites`
 */
export function planPeft({ config, modules }: PeftAdapter, info: ModelInfo): BranchPlan[] {
  const found = modules.map((lora) => ({ lora, base: baseOf(lora, info) }))
  const plans = found.flatMap(({ lora, base }) => planModule(lora, base))
  checkFit(plans, info)
  if (config.fanInFanOut && !info.modules.some(({ transposed }) => transposed)) {
    const text = `adapter_config.json: "fan_in_fan_out" is true, but base models of the family ${info.family} have no such modules`
    throw new TroupeError('unsupported_adapter', text, { param: 'fan_in_fan_out' })
  }
  const whole = new Set(modules.map(({ path }) => path.startsWith(info.basePrefix)))
  if (whole.size > 1) {
    const text = `some modules begin with "${info.basePrefix}" and some do not`
    throw new TroupeError('invalid_adapter', text, { param: 'target_modules' })
  }
  const paths = modulePaths(info, whole.has(true))
  const expected = new Set<string>()
  for (const path of selectModules(config, [...paths.keys()])) {
    const base = paths.get(path) ?? null
    if (base === null) {
      const names = new Set(info.modules.map((module) => module.path.replace(/.*\./, '')))
      const text = `adapter_config.json: "target_modules" selects ${path}; supported are ${[...names].join(', ')}`
      throw new TroupeError('unsupported_adapter', text, { param: 'target_modules' })
    }
    for (const { kind } of base.module.parts) expected.add(siteName(base.layer, kind))
  }
  checkSites(plans, expected, info)
  return plans
}

function baseOf({ path, down, up, inDim, outDim }: LoraModule, info: ModelInfo): BaseModule {
  const base = findModule(info, path)
  if (base === null) {
    const text = `tensor "${down}" is for the module ${path}, which this kind of base model does not have`
    throw new TroupeError('base_mismatch', text, { param: down })
  }
  // The parts of a fused module are cut by the base model's sizes: only its own can be told from a wrong one.
  const { module } = base
  if (module.parts.length > 1 && (module.inDim !== inDim || module.outDim !== outDim)) {
    const tensor = module.inDim === inDim ? up : down
    const text =
      `tensor "${tensor}": ${path} maps ${module.inDim} to ${module.outDim} values in the base model ${info.name}, ` +
      `the adapter was made for ${inDim} to ${outDim}`
    throw new TroupeError('base_mismatch', text, { param: tensor })
  }
  return base
}

function planModule({ rank, scale, inDim, outDim, down, up }: LoraModule, { module, layer }: BaseModule): BranchPlan[] {
  const shared = { layer, rank, scale, inDim, down, up, activation: 'identity', a: null, c: null, gain: null } as const
  if (module.parts.length === 1) return [{ ...shared, kind: module.parts[0]!.kind, outDim, outputs: null }]
  return module.parts.map(({ kind, outputs }) => ({
    ...shared,
    kind,
    outDim: outputs.run * outputs.times,
    outputs,
  }))
}

interface Pair {
  A?: string
  B?: string
}

/** Tensor names by module path; every tensor of the file is in it. */
function collectPairs(file: SafetensorsFile): Map<string, Pair> {
  const pairs = new Map<string, Pair>()
  for (const name of [...file.tensors.keys()].sort()) {
    const feature = OTHER_FEATURES.find(([pattern]) => pattern.test(name))
    if (feature !== undefined) throw unsupported(name, `belongs to ${feature[1]}, which is not supported`)
    const match = name.startsWith(WRAPPER) ? LORA_KEY.exec(name.slice(WRAPPER.length)) : null
    if (match === null)
      throw unsupported(name, 'is no part of a LoRA: a module saved whole (modules_to_save), or another format')
    const [, path, side] = match as unknown as [string, string, 'A' | 'B']
    const pair = pairs.get(path) ?? {}
    if (pair[side] !== undefined) {
      throw new TroupeError('invalid_adapter', `tensors "${pair[side]}" and "${name}" are for the same place`, {
        param: name,
      })
    }
    pair[side] = name
    pairs.set(path, pair)
  }
  return pairs
}

function readModule(
  path: string,
  pair: Pair,
  { rank, scale }: { readonly rank: number; readonly scale: number },
  file: SafetensorsFile,
): LoraModule {
  const { A: down, B: up } = pair
  if (down === undefined || up === undefined) {
    const [found, missing] = down === undefined ? [up, 'lora_A'] : [down, 'lora_B']
    throw new TroupeError('invalid_adapter', `tensor "${found}" has no ${missing} beside it`, { param: found ?? path })
  }
  const inDim = matrix(file, down, 0, rank)[1]
  const outDim = matrix(file, up, 1, rank)[0]
  return { path, rank, scale, inDim, outDim, down, up }
}

/** Shape of a matrix that must have `rank` rows (axis 0) or columns (axis 1). */
function matrix(file: SafetensorsFile, name: string, axis: 0 | 1, rank: number): readonly [number, number] {
  const { shape } = file.entry(name)
  if (shape.length !== 2 || shape[axis] !== rank) {
    const expected = axis === 0 ? `[${rank}, in]` : `[out, ${rank}]`
    const text = `tensor "${name}" is [${shape.join(', ')}], adapter_config.json gives ${expected}`
    throw new TroupeError('invalid_adapter', text, { param: name })
  }
  return shape as unknown as readonly [number, number]
}

function unsupported(name: string, fault: string): TroupeError {
  return new TroupeError('unsupported_adapter', `tensor "${name}" ${fault}`, { param: name })
}
