import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { checkDims } from '../base-fit.ts'
import { fieldRefusal, readNumber, readRank } from '../config-fields.ts'
import type { LowRank } from '../low-rank.ts'
import { lowRankValues, planLowRank } from '../low-rank.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { placeOf } from '../parsed.ts'
import { borrowFinite, expectShape, readFinite } from '../values.ts'
import { readTunerConfig, requireTargets } from './fields.ts'
import { checkSelection, placeModules } from './placement.ts'
import type { ModuleTensors } from './tensors.ts'
import { collectModules, requirePart } from './tensors.ts'
import { planTokenRows } from './token-rows.ts'

const RULES = {
  read: ['init_r', 'lora_alpha', 'rank_pattern'],
  // How ranks were shared out while it trained; `r` is LoRA's own and means nothing here.
  ignored: [
    'beta1',
    'beta2',
    'deltaT',
    'init_lora_weights',
    'lora_dropout',
    'megatron_core',
    'orth_reg_weight',
    'qalora_group_size',
    'r',
    'target_r',
    'tfinal',
    'tinit',
    'total_step',
  ],
}

const PARTS = ['lora_A', 'lora_B', 'lora_E'] as const
type Part = (typeof PARTS)[number]

/** One module; of rank 0 where training left nothing of it. */
interface Module extends LowRank {
  readonly path: string
  readonly tensor: string
}

/**
 * Reads an AdaLoRA (Zhang et al. 2023): y = W x + s · B (E ∘ A x). The singular values E go into `down`. The scale s = α / (init_r + 10⁻⁵) stays
 * what it was when training began, whatever rank a module has been left with.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parseAdalora(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  const config = readTunerConfig(json, RULES)
  requireTargets(config.targets)
  const initial = readRank('init_r', json['init_r'])
  const alpha = readNumber('lora_alpha', json['lora_alpha'])
  const scale = (alpha > 0 ? alpha : initial) / (initial + 1e-5)
  const { modules: tensors, copies } = collectModules(
    file,
    PARTS.map((part) => [part, part] as const),
    'an AdaLoRA',
  )
  const ranks = readRanks(json['rank_pattern'])
  const modules = tensors.map((one) => readModule(one, ranks.get(one.path) ?? initial, scale, file))
  const values = modules.reduce((sum, module) => sum + lowRankValues(module), 0)
  return {
    method: 'adalora',
    baseModel: config.baseModel,
    outlines: modules.map(({ path, rank }) => ({ ...placeOf(path), rank })),
    parameters: values + modules.reduce((sum, { rank }) => sum + rank, 0),
    values,
    virtualTokens: 0,
    plan: (info, weights) => {
      const placed = placeModules(modules, info)
      for (const { module, base } of placed) {
        checkDims(module.path, [base.inDim, base.outDim], [module.inDim, module.outDim], module.names, info)
      }
      checkSelection(placed, config, info)
      const tokenRows = planTokenRows(copies, config, file, info, weights)
      const acting = placed.filter(({ module }) => module.rank > 0)
      const branches = acting.flatMap(({ module, base }) => planLowRank(module, base))
      return { branches, gains: [], virtualTokens: null, tokenRows }
    },
  }
}

/** Ranks by module: how many singular values the list of a module keeps. */
function readRanks(value: unknown): ReadonlyMap<string, number> {
  const field = 'rank_pattern'
  if (value === undefined || value === null) return new Map()
  if (!isJsonObject(value)) throw fieldRefusal('invalid_adapter', field, value, 'it must be an object')
  return new Map(
    Object.entries(value).map(([name, kept]) => {
      const isMask = Array.isArray(kept) && kept.every((one) => typeof one === 'boolean')
      if (!isMask)
        throw fieldRefusal('invalid_adapter', field, value, 'it must have a list of true and false per module')
      return [name.replace(/\.lora_E(\.[^.]+)?$/, ''), kept.filter(Boolean).length]
    }),
  )
}

function readModule(one: ModuleTensors<Part>, rank: number, scale: number, file: SafetensorsFile): Module {
  const [down, up, singular] = PARTS.map((part) => requirePart(one, part)) as [string, string, string]
  expectShape(file, down, [rank, 'in'])
  expectShape(file, up, ['out', rank])
  expectShape(file, singular, [rank, 1])
  const inDim = file.entry(down).shape[1]!
  const outDim = file.entry(up).shape[0]!
  const fill = (into: Float32Array): void => {
    readFinite(file, down, into)
    const values = readFinite(file, singular)
    for (let row = 0; row < rank; row++) for (let i = 0; i < inDim; i++) into[row * inDim + i]! *= values[row]!
  }
  return {
    path: one.path,
    tensor: one.tensor,
    rank,
    scale,
    inDim,
    outDim,
    names: { down, up },
    down: { count: rank * inDim, fill },
    rows: () => borrowFinite(file, up),
    bias: null,
  }
}
