import type { LinearKind } from '../../core/branch.ts'
import { isEdgeKind, siteName } from '../../core/branch.ts'
import { TroupeError } from '../../core/errors.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { checkDims, checkPlace, checkSites } from '../base-fit.ts'
import type { BaseModule } from '../base-modules.ts'
import { findModule } from '../base-modules.ts'
import { checkFields, fieldRefusal, readFlag, readLayers, readNames, readNumber, readRank } from '../config-fields.ts'
import { planLowRank } from '../low-rank.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { placeOf } from '../parsed.ts'
import type { AdapterPlan, BranchPlan, GainPlan } from '../plan.ts'
import { borrowFinite, expectShape, readFinite, tensorValues } from '../values.ts'
import type { OuterConfig } from './outer-config.ts'
import { checkOuter } from './outer-config.ts'

const RULES = {
  read: [
    'architecture',
    'alpha',
    'attn_matrices',
    'composition_mode',
    'intermediate_lora',
    'leave_out',
    'output_lora',
    'r',
    'selfattn_lora',
  ],
  ignored: ['dropout', 'init_weights', 'init_weights_seed'],
  // use_gating, use_dora and the vectors of VeRA must be off.
  allowed: { dtype: ['float32', 'float16', 'bfloat16'] },
}

const ATTENTION: Readonly<Record<string, LinearKind>> = { q: 'q_proj', k: 'k_proj', v: 'v_proj' }

/** Families in which the library takes the MLP's last module for its intermediate one, and the other way round. */
const CROSSED: readonly string[] = ['llama', 'mistral']

/** The method's fields, checked. */
interface LoraConfig {
  readonly rank: number
  readonly alpha: number
  /** (IA)³: the module's output is multiplied by a vector. */
  readonly scales: boolean
  readonly kinds: ReadonlySet<LinearKind>
  readonly leaveOut: readonly number[]
}

/** Tensor names of one module. */
interface Module {
  readonly path: string
  readonly A: string | null
  readonly B: string
  readonly outDim: number
}

/**
 * Reads a LoRA of AdapterHub, y = W x + α/r · B A x, or its (IA)³, y = α · l ∘ (W x + b), which it keeps as a LoRA that multiplies.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parseLora(outer: OuterConfig, file: SafetensorsFile): ParsedAdapter {
  const config = readConfig(outer)
  const { rank, scales } = config
  const modules = collectModules(outer, config, file)
  const values = modules.reduce((sum, { A, outDim }) => {
    return sum + rank * outDim + (A === null ? 0 : rank * file.entry(A).shape[1]!)
  }, 0)
  return {
    method: scales ? 'ia3' : 'lora',
    baseModel: outer.baseModel,
    outlines: modules.map(({ path }) => ({ ...placeOf(path), rank: scales ? 0 : rank })),
    parameters: values,
    values,
    virtualTokens: 0,
    plan: (info): AdapterPlan => {
      checkOuter(outer, info)
      const placed = modules.map((module) => ({ module, base: baseOf(module, info) }))
      const branches = placed.flatMap(({ module, base }) => planBranches(module, config, base, file, info))
      const gains = placed.flatMap(({ module, base }) => planGains(module, config, base, file, info))
      const placements = placed.map(({ module, base }) => {
        return { layer: base.layer, kind: base.parts[0]!.kind, tensor: module.B }
      })
      checkSites(placements, expectedSites(config, info), info)
      return { branches, gains, virtualTokens: null, tokenRows: null }
    },
  }
}

function readConfig({ inner, modelType }: OuterConfig): LoraConfig {
  checkFields(inner, RULES)
  const mode = inner['composition_mode']
  if (mode !== 'add' && mode !== 'scale') {
    throw fieldRefusal('unsupported_adapter', 'composition_mode', mode, 'supported: "add", "scale"')
  }
  const rank = readRank('r', inner['r'])
  if (mode === 'scale' && rank !== 1) throw fieldRefusal('invalid_adapter', 'r', rank, 'with "scale" it must be 1')
  const matrices = readFlag('selfattn_lora', inner['selfattn_lora'])
    ? (readNames('attn_matrices', inner['attn_matrices']) ?? [])
    : []
  const kinds = new Set<LinearKind>()
  for (const matrix of matrices) {
    const kind = Object.hasOwn(ATTENTION, matrix) ? ATTENTION[matrix] : undefined
    if (kind === undefined) {
      throw fieldRefusal('unsupported_adapter', 'attn_matrices', matrices, 'supported: "q", "k", "v"')
    }
    kinds.add(kind)
  }
  const [first, second] = CROSSED.includes(modelType)
    ? (['down_proj', 'up_proj'] as const)
    : (['up_proj', 'down_proj'] as const)
  if (readFlag('intermediate_lora', inner['intermediate_lora'])) kinds.add(first)
  if (readFlag('output_lora', inner['output_lora'])) kinds.add(second)
  const leaveOut = readLayers('leave_out', inner['leave_out']) ?? []
  return { rank, alpha: readNumber('alpha', inner['alpha']), scales: mode === 'scale', kinds, leaveOut }
}

/** Every tensor of the file, by module. */
function collectModules({ name: adapter }: OuterConfig, { rank, scales }: LoraConfig, file: SafetensorsFile): Module[] {
  const sides = new Map<string, { A?: string; B?: string }>()
  for (const name of [...file.tensors.keys()].sort()) {
    const match = /^(.+?)\.loras\.(.+)\.lora_([AB])$/s.exec(name) as [string, string, string, 'A' | 'B'] | null
    if (match === null || (match[3] === 'A' && scales)) {
      throw refusal(
        'unsupported_adapter',
        name,
        `is no part of ${scales ? 'an (IA)³' : 'a LoRA'}: another method, or a prediction head`,
      )
    }
    const [, path, owner, side] = match
    if (owner !== adapter) {
      throw refusal('invalid_adapter', name, `is not of the adapter "${adapter}" that adapter_config.json names`)
    }
    sides.set(path, { ...sides.get(path), [side]: name })
  }
  if (sides.size === 0) {
    throw new TroupeError('invalid_adapter', `${file.file} holds no tensors`, { param: file.file })
  }
  return [...sides].map(([path, { A, B }]) => {
    if (B === undefined) throw refusal('invalid_adapter', A!, 'has no lora_B beside it')
    if (A === undefined && !scales) throw refusal('invalid_adapter', B, 'has no lora_A beside it')
    expectShape(file, B, ['out', rank])
    if (A !== undefined) expectShape(file, A, [rank, 'in'])
    return { path, A: A ?? null, B, outDim: file.entry(B).shape[0]! }
  })
}

function baseOf({ path, B }: Module, info: ModelInfo): BaseModule {
  const base = findModule(info, path)
  if (base === null) {
    throw refusal('base_mismatch', B, `is for the module ${path}, which this kind of base model does not have`)
  }
  if (base.parts.length > 1) {
    throw refusal(
      'unsupported_adapter',
      B,
      `is for ${path}: LoRAs of AdapterHub on fused modules are not supported; train with PEFT`,
    )
  }
  checkPlace({ layer: base.layer, kind: base.parts[0]!.kind, tensor: B }, info)
  return base
}

function planBranches(
  { path, A, B, outDim }: Module,
  { rank, alpha }: LoraConfig,
  base: BaseModule,
  file: SafetensorsFile,
  info: ModelInfo,
): BranchPlan[] {
  if (A === null) return []
  const inDim = file.entry(A).shape[1]!
  const names = { down: A, up: B }
  checkDims(path, [base.inDim, base.outDim], [inDim, outDim], names, info)
  const rows = (): Float32Array => borrowFinite(file, B)
  return planLowRank(
    { rank, scale: alpha / rank, inDim, outDim, names, down: tensorValues(file, A), rows, bias: null },
    base,
  )
}

function planGains(
  { path, B, outDim }: Module,
  { scales, alpha }: LoraConfig,
  base: BaseModule,
  file: SafetensorsFile,
  info: ModelInfo,
): GainPlan[] {
  if (!scales) return []
  checkDims(path, [base.inDim, base.outDim], [base.inDim, outDim], { down: B, up: B }, info)
  const { kind } = base.parts[0]!
  if (isEdgeKind(kind))
    throw refusal('unsupported_adapter', B, `multiplies what ${path} returns, which is not supported`)
  const fill = (into: Float32Array): void => {
    readFinite(file, B, into)
    for (let i = 0; i < into.length; i++) into[i]! *= alpha
  }
  return [{ layer: base.layer, kind, side: 'out', values: { count: outDim, fill } }]
}

function expectedSites({ kinds, leaveOut }: LoraConfig, info: ModelInfo): Set<string> {
  const expected = new Set<string>()
  for (let layer = 0; layer < info.layers; layer++) {
    if (!leaveOut.includes(layer)) for (const kind of kinds) expected.add(siteName(layer, kind))
  }
  return expected
}

function refusal(
  code: 'invalid_adapter' | 'unsupported_adapter' | 'base_mismatch',
  name: string,
  fault: string,
): TroupeError {
  return new TroupeError(code, `tensor "${name}" ${fault}`, { param: name })
}
