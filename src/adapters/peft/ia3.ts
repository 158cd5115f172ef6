import type { LinearKind } from '../../core/branch.ts'
import { isEdgeKind } from '../../core/branch.ts'
import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import type { BaseModule } from '../base-modules.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { placeOf } from '../parsed.ts'
import type { AdapterPlan, GainPlan } from '../plan.ts'
import { matchPatterns, translatePattern } from '../python-pattern.ts'
import { expectShape, readFinite, takeOutputs, tensorValues } from '../values.ts'
import { planTokenRows } from './token-rows.ts'
import { readTunerConfig, requireTargets } from './fields.ts'
import { checkSelection, placeModules } from './placement.ts'
import { readNameOrList } from './targets.ts'
import { collectModules, requirePart } from './tensors.ts'

const RULES = { read: ['feedforward_modules'], ignored: ['init_ia3_weights'] }

/** What these read can be multiplied: it is theirs alone. */
const GAIN_INPUTS: readonly LinearKind[] = ['o_proj', 'down_proj']

/** The vector of one module. */
interface Ia3Module {
  readonly path: string
  readonly tensor: string
  /** Multiplies what the module reads, not what it returns. */
  readonly input: boolean
  readonly channels: number
}

/**
 * Reads an (IA)³ (Liu et al. 2022): y = l ∘ (W x + b), or y = W (l ∘ x) + b for feed-forward modules.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parseIa3(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  const config = readTunerConfig(json, RULES)
  requireTargets(config.targets)
  const { modules: tensors, copies } = collectModules(file, [['ia3_l', 'ia3_l']] as const, 'an (IA)³')
  const inputs = matchFeedforward(
    json,
    tensors.map(({ path }) => path),
  )
  const modules = tensors.map((one, i) => {
    const tensor = requirePart(one, 'ia3_l')
    const input = inputs[i]!
    expectShape(file, tensor, input ? [1, 'in'] : ['out', 1])
    return { path: one.path, tensor, input, channels: Math.max(...file.entry(tensor).shape) }
  })
  const values = modules.reduce((sum, { channels }) => sum + channels, 0)
  return {
    method: 'ia3',
    baseModel: config.baseModel,
    outlines: modules.map(({ path }) => ({ ...placeOf(path), rank: 0 })),
    parameters: values,
    values,
    virtualTokens: 0,
    plan: (info, weights): AdapterPlan => {
      const placed = placeModules(modules, info)
      const gains = placed.flatMap(({ module, base }) => planGains(module, base, file, info))
      checkSelection(placed, config, info)
      const tokenRows = planTokenRows(copies, config, file, info, weights)
      return { branches: [], gains, virtualTokens: null, tokenRows }
    },
  }
}

/** A pattern for whole paths, or a list of their last characters, as PEFT compares them. */
function matchFeedforward(json: JsonObject, paths: readonly string[]): boolean[] {
  const field = 'feedforward_modules'
  const names = readNameOrList(field, json[field]) ?? []
  if (typeof names === 'string') return matchPatterns([`^(?:${translatePattern(names, field)})$`], paths, field)[0]!
  return paths.map((path) => names.some((name) => path.endsWith(name)))
}

function planGains(
  { path, tensor, input, channels }: Ia3Module,
  { layer, parts, inDim, outDim }: BaseModule,
  file: SafetensorsFile,
  info: ModelInfo,
): GainPlan[] {
  const expected = input ? inDim : outDim
  if (channels !== expected) {
    const text = `tensor "${tensor}" has ${channels} values, ${path} ${input ? 'reads' : 'returns'} ${expected} in the base model ${info.name}`
    throw new TroupeError('base_mismatch', text, { param: tensor })
  }
  return parts.map(({ kind, outputs }) => {
    if (isEdgeKind(kind) || (input && !GAIN_INPUTS.includes(kind))) {
      const place = input ? `what ${path} reads` : `what ${path} returns`
      const text = `tensor "${tensor}" multiplies ${place}, which is not supported; factors act on what modules of a layer return, and on what the last module of a sublayer reads`
      throw new TroupeError('unsupported_adapter', text, { param: tensor })
    }
    if (input) return { layer, kind, side: 'in', values: tensorValues(file, tensor) }
    const count = outputs.run * outputs.times
    const fill = (into: Float32Array): void => into.set(takeOutputs(readFinite(file, tensor), outputs))
    return { layer, kind, side: 'out', values: { count, fill } }
  })
}
