import type { LinearKind } from '../core/branch.ts'
import { LINEAR_KINDS, siteName } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { SafetensorsFile } from '../safetensors/file.ts'
import { checkFit, checkSites } from './base-fit.ts'
import type { BranchPlan } from './branch-plan.ts'
import type { PeftConfig } from './peft-config.ts'
import { readPeftConfig } from './peft-config.ts'
import { moduleScales, selectModules } from './peft-modules.ts'

const WRAPPER = 'base_model.model.'
const LORA_KEY = /^(.+)\.lora_([AB])(?:\.default)?\.weight$/
const SITE_PATH = /^(?:model\.)?layers\.(0|[1-9]\d*)\.(self_attn|mlp)\.([a-z]+_proj)$/

/** Tensors that belong to features of PEFT other than plain LoRA, with the field that switches each off. */
const OTHER_FEATURES: readonly (readonly [RegExp, string])[] = [
  [/lora_magnitude_vector/, 'DoRA (use_dora)'],
  [/lora_embedding_[AB]/, 'LoRA on the embedding (target_modules)'],
  [/lm_head\.lora_[AB]/, 'LoRA on the head (target_modules)'],
  [/embed_tokens\.lora_[AB]/, 'LoRA on the embedding (target_modules)'],
  [/lora_B\.(default\.)?bias$/, 'a bias of the LoRA itself (lora_bias)'],
  [/trainable_tokens/, 'trained tokens (trainable_token_indices)'],
  [/\.bias$/, 'trained biases of the base model (bias)'],
]

/** A PEFT LoRA read so far as it can be without its base model. */
export interface PeftAdapter {
  readonly config: PeftConfig
  /** Module paths begin with this in the model the adapter was saved from: `model.`, or nothing for a bare base model. */
  readonly prefix: string
  readonly plans: readonly BranchPlan[]
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
  const prefixes = new Set(paths.map((path) => (path.startsWith('model.') ? 'model.' : '')))
  if (prefixes.size > 1) {
    throw new TroupeError('invalid_adapter', `${file.file}: some modules begin with "model." and some do not`)
  }
  const scales = moduleScales(config, paths)
  const plans = paths.map((path, i) => planModule(path, pairs.get(path)!, scales[i]!, file))
  return { config, prefix: [...prefixes][0]!, plans }
}

/** Checks a PEFT LoRA against the base model it should act on; see `checkFit` and `checkSites`. */
export function checkPeft(adapter: PeftAdapter, info: ModelInfo): void {
  checkFit(adapter.plans, info)
  const sites = new Map<string, string>()
  for (let layer = 0; layer < info.layers; layer++) {
    for (const kind of LINEAR_KINDS) {
      sites.set(`${adapter.prefix}layers.${layer}.${parentOf(kind)}.${kind}`, siteName(layer, kind))
    }
  }
  const others = [`${adapter.prefix}embed_tokens`, 'lm_head']
  const selected = selectModules(adapter.config, [...sites.keys(), ...others])
  const other = selected.find((path) => others.includes(path))
  if (other !== undefined) {
    const text = `adapter_config.json: "target_modules" selects ${other}; supported are ${LINEAR_KINDS.join(', ')}`
    throw new TroupeError('unsupported_adapter', text, { param: 'target_modules' })
  }
  checkSites(adapter.plans, new Set(selected.map((path) => sites.get(path)!)), info)
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

function planModule(
  path: string,
  pair: Pair,
  { rank, scale }: { readonly rank: number; readonly scale: number },
  file: SafetensorsFile,
): BranchPlan {
  const { A: down, B: up } = pair
  if (down === undefined || up === undefined) {
    const [found, missing] = down === undefined ? [up, 'lora_A'] : [down, 'lora_B']
    throw new TroupeError('invalid_adapter', `tensor "${found}" has no ${missing} beside it`, { param: found ?? path })
  }
  const site = SITE_PATH.exec(path)
  const kind = LINEAR_KINDS.find((one) => one === site?.[3] && parentOf(one) === site[2])
  if (site === null || kind === undefined) {
    const text = `tensor "${down}" is for the module ${path}, which this kind of base model does not have`
    throw new TroupeError('base_mismatch', text, { param: down })
  }
  const inDim = matrix(file, down, 0, rank)[1]
  const outDim = matrix(file, up, 1, rank)[0]
  const layer = Number(site[1])
  return { layer, kind, rank, inDim, outDim, activation: 'identity', scale, down, up, a: null, c: null, gain: null }
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

function parentOf(kind: LinearKind): 'self_attn' | 'mlp' {
  return kind === 'gate_proj' || kind === 'up_proj' || kind === 'down_proj' ? 'mlp' : 'self_attn'
}

function unsupported(name: string, fault: string): TroupeError {
  return new TroupeError('unsupported_adapter', `tensor "${name}" ${fault}`, { param: name })
}
