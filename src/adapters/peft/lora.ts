import type { BaseWeights } from '../../core/base-weights.ts'
import type { JsonObject } from '../../core/json.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { checkDims } from '../base-fit.ts'
import { fieldRefusal, readFlag } from '../config-fields.ts'
import type { LowRank } from '../low-rank.ts'
import { lowRankValues, planLowRank } from '../low-rank.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { placeOf } from '../parsed.ts'
import type { AdapterPlan } from '../plan.ts'
import { borrowFinite, expectShape, readFinite, tensorValues } from '../values.ts'
import { planTokenRows } from './token-rows.ts'
import { planDora } from './dora.ts'
import type { TunerConfig } from './fields.ts'
import { readTunerConfig } from './fields.ts'
import { checkSelection, placeModules } from './placement.ts'
import type { ModuleScale } from './scales.ts'
import { SCALE_FIELDS, moduleScales, readScales } from './scales.ts'
import type { ModuleTensors, SavedCopy } from './tensors.ts'
import { collectModules, requirePart } from './tensors.ts'

/** Modules that PEFT adapts in a family when the configuration names none. */
const FUSED_TARGETS: Readonly<Record<string, readonly string[]>> = { gpt2: ['c_attn'], gpt_neox: ['query_key_value'] }
const defaultTargets = (family: string): readonly string[] => FUSED_TARGETS[family] ?? ['q_proj', 'v_proj']

const RULES = {
  read: ['lora_alpha', 'use_dora', 'lora_bias', ...SCALE_FIELDS],
  // How training began says nothing about what it saved, as long as the base weights stayed as they were (init_lora_weights).
  ignored: [
    'corda_config',
    'eva_config',
    'loftq_config',
    'lora_dropout',
    'lora_ga_config',
    'megatron_core',
    'qalora_group_size',
  ],
  // The other ways to begin change the base weights too, so the adapter alone would not do.
  allowed: { init_lora_weights: [true, 'gaussian', 'orthogonal', 'eva', 'mica'] },
}

const SUFFIXES = [
  ['lora_A.weight', 'lora_A'],
  ['lora_B.weight', 'lora_B'],
  ['lora_embedding_A', 'lora_A'],
  ['lora_embedding_B', 'lora_B'],
] as const
const BIAS_SUFFIX = ['lora_B.bias', 'lora_B.bias'] as const
const MAGNITUDE_SUFFIXES = [
  ['lora_magnitude_vector', 'lora_magnitude_vector'],
  ['lora_magnitude_vector.weight', 'lora_magnitude_vector'],
] as const

type Part = (typeof SUFFIXES | typeof MAGNITUDE_SUFFIXES)[number][1] | (typeof BIAS_SUFFIX)[1]

/** The LoRA of one module. */
export interface LoraModule extends LowRank {
  readonly path: string
  readonly tensor: string
  /** Tensor with the lengths of the rows of the adapted weight (DoRA). */
  readonly magnitude: string | null
}

/** The files of a LoRA, understood as far as they can be without a base model. */
export interface LoraFiles {
  readonly config: TunerConfig
  readonly dora: boolean
  readonly biased: boolean
  readonly modules: readonly LoraModule[]
  readonly copies: readonly SavedCopy[]
}

/**
 * Reads configuration and tensor shapes of a LoRA; y = W x + scale · (B (A x) + bias) (Hu et al. 2021), also of a weight-decomposed one
 * (DoRA, Liu et al. 2024) and of one on the embedding or the head.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function readLora(json: JsonObject, file: SafetensorsFile): LoraFiles {
  const config = readTunerConfig(json, RULES)
  const scales = readScales(json, 'lora_alpha')
  const [dora, biased] = [readFlag('use_dora', json['use_dora']), readFlag('lora_bias', json['lora_bias'])]
  if (dora && biased) throw fieldRefusal('unsupported_adapter', 'lora_bias', true, 'DoRA has none (use_dora)')
  const suffixes = [...SUFFIXES, ...(biased ? [BIAS_SUFFIX] : []), ...(dora ? MAGNITUDE_SUFFIXES : [])]
  const { modules: tensors, copies } = collectModules<Part>(file, suffixes, dora ? 'a DoRA' : 'a LoRA')
  const found = moduleScales(
    scales,
    tensors.map(({ path }) => path),
  )
  const modules = tensors.map((one, i) => readModule(one, found[i]!, { dora, biased }, file))
  return { config, dora, biased, modules, copies }
}

/** A LoRA as an adapter. @throws TroupeError as `readLora` */
export function parseLora(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  const { config, dora, modules, copies } = readLora(json, file)
  const values = modules.reduce((sum, one) => sum + lowRankValues(one) + (one.magnitude === null ? 0 : one.outDim), 0)

  const plan = (info: ModelInfo, weights: BaseWeights): AdapterPlan => {
    const placed = placeModules(modules, info)
    for (const { module, base } of placed) {
      checkDims(module.path, [base.inDim, base.outDim], [module.inDim, module.outDim], module.names, info)
    }
    checkSelection(placed, config, info, defaultTargets)
    const tokenRows = planTokenRows(copies, config, file, info, weights)
    const parts = placed.map(({ module, base }) =>
      module.magnitude === null
        ? { branches: planLowRank(module, base), gains: [] }
        : planDora(module, module.magnitude, base, file, weights),
    )
    const gains = parts.flatMap((part) => part.gains)
    return { branches: parts.flatMap(({ branches }) => branches), gains, virtualTokens: null, tokenRows }
  }
  return {
    method: dora ? 'dora' : 'lora',
    baseModel: config.baseModel,
    outlines: modules.map(({ path, rank }) => ({ ...placeOf(path), rank })),
    parameters: values,
    values,
    virtualTokens: 0,
    plan,
  }
}

function readModule(
  module: ModuleTensors<Part>,
  { rank, scale }: ModuleScale,
  { dora, biased }: { readonly dora: boolean; readonly biased: boolean },
  file: SafetensorsFile,
): LoraModule {
  const { path, tensor } = module
  const [down, up] = [requirePart(module, 'lora_A'), requirePart(module, 'lora_B')]
  expectShape(file, down, [rank, 'in'])
  expectShape(file, up, ['out', rank])
  const inDim = file.entry(down).shape[1]!
  const outDim = file.entry(up).shape[0]!
  const [bias, magnitude] = [
    biased ? requirePart(module, 'lora_B.bias') : null,
    dora ? requirePart(module, 'lora_magnitude_vector') : null,
  ]
  if (bias !== null) expectShape(file, bias, [outDim])
  if (magnitude !== null) expectShape(file, magnitude, [outDim])
  if ((bias ?? magnitude) !== null && !/\.\d+\./.test(path)) {
    const field = biased ? 'lora_bias' : 'use_dora'
    throw fieldRefusal('unsupported_adapter', field, true, `it is supported in layers, not on ${path}`)
  }
  return {
    path,
    tensor,
    rank,
    scale,
    inDim,
    outDim,
    names: { down, up },
    down: tensorValues(file, down),
    rows: () => borrowFinite(file, up),
    bias: bias === null ? null : () => readFinite(file, bias),
    magnitude,
  }
}
