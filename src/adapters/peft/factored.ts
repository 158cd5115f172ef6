import type { Method } from '../../core/branch.ts'
import { isEdgeKind } from '../../core/branch.ts'
import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { checkDims } from '../base-fit.ts'
import type { LowRank } from '../low-rank.ts'
import { lowRankValues, planLowRank } from '../low-rank.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { placeOf } from '../parsed.ts'
import type { AdapterPlan } from '../plan.ts'
import { planTokenRows } from './token-rows.ts'
import { readTunerConfig, requireTargets } from './fields.ts'
import { checkSelection, placeModules } from './placement.ts'
import type { ModuleScale } from './scales.ts'
import { SCALE_FIELDS, moduleScales, readScales } from './scales.ts'
import type { ModuleTensors } from './tensors.ts'
import { collectModules } from './tensors.ts'

/** The weight of one module as a product of two matrices, written out from the factors that its file has. */
export interface FactoredModule extends Omit<LowRank, 'scale' | 'bias'> {
  /** Values in its tensors. */
  readonly parameters: number
}

/** What tells one method from another. */
interface FactoredMethod<Part extends string> {
  readonly method: Method
  /** For messages. */
  readonly title: string
  readonly parts: readonly Part[]
  /** Fields that change nothing, beside those all have. */
  readonly ignored: readonly string[]
  /** What to know about an adapter with this configuration. */
  readonly warnings?: (json: JsonObject, scale: ModuleScale) => readonly string[]
  readonly read: (module: ModuleTensors<Part>, scale: ModuleScale, file: SafetensorsFile) => FactoredModule
}

const IGNORED = ['init_weights', 'module_dropout', 'rank_dropout', 'use_effective_conv2d']

/**
 * Reads an adapter whose update of a weight is a product of small matrices that a branch has exact factors for.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor, also where the factors would be larger than the
 * weight itself
 */
export function parseFactored<Part extends string>(
  json: JsonObject,
  file: SafetensorsFile,
  { method, title, parts, ignored, read, warnings }: FactoredMethod<Part>,
): ParsedAdapter {
  const config = readTunerConfig(json, { read: ['alpha', ...SCALE_FIELDS], ignored: [...IGNORED, ...ignored] })
  requireTargets(config.targets)
  const suffixes = parts.map((part) => [part, part] as const)
  const { modules: tensors, copies } = collectModules(file, suffixes, title)
  const found = moduleScales(
    readScales(json, 'alpha'),
    tensors.map(({ path }) => path),
  )
  const modules = tensors.map((one, i) => {
    const { path, tensor } = one
    const scale = found[i]!
    const module = { path, tensor, scale: scale.scale, bias: null, ...read(one, scale, file) }
    checkRank(module, title)
    return module
  })
  return {
    method,
    baseModel: config.baseModel,
    outlines: modules.map(({ path, rank }) => ({ ...placeOf(path), rank })),
    parameters: modules.reduce((sum, { parameters }) => sum + parameters, 0),
    values: modules.reduce((sum, module) => sum + lowRankValues(module), 0),
    virtualTokens: 0,
    warnings: warnings?.(json, found[0]!) ?? [],
    plan: (info, weights): AdapterPlan => {
      const placed = placeModules(modules, info)
      for (const { module, base } of placed) {
        if (base.parts.some(({ kind }) => isEdgeKind(kind))) {
          const text = `tensor "${module.tensor}" is for ${module.path}: ${title} is supported in layers`
          throw new TroupeError('unsupported_adapter', text, { param: module.tensor })
        }
        checkDims(module.path, [base.inDim, base.outDim], [module.inDim, module.outDim], module.names, info)
      }
      checkSelection(placed, config, info)
      const tokenRows = planTokenRows(copies, config, file, info, weights)
      const branches = placed.flatMap(({ module, base }) => planLowRank(module, base))
      return { branches, gains: [], virtualTokens: null, tokenRows }
    },
  }
}

/** A rank above the smaller side of the weight would take more than the weight itself: that is no small adapter any more. */
function checkRank(
  { rank, inDim, outDim, path, tensor }: FactoredModule & { path: string; tensor: string },
  title: string,
): void {
  const most = Math.min(inDim, outDim)
  if (rank <= most) return
  const text =
    `tensor "${tensor}": written out as two factors, ${title} on ${path} has the rank ${rank}, ` +
    `the weight itself only ${most}; train it with a smaller "r"`
  throw new TroupeError('unsupported_adapter', text, { param: tensor })
}
