import type { BaseWeights } from '../../core/base-weights.ts'
import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import { transposeInto } from '../../core/transpose.ts'
import { elementCount } from '../../safetensors/header.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { checkDims } from '../base-fit.ts'
import { fieldRefusal, readFlag, readNumber, readRank } from '../config-fields.ts'
import { lowRankValues, planLowRank } from '../low-rank.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { placeOf } from '../parsed.ts'
import { planDora } from '../peft/dora.ts'
import type { LoraModule } from '../peft/lora.ts'
import { placeModules } from '../peft/placement.ts'
import type { AdapterPlan } from '../plan.ts'
import { expectShape, readFinite } from '../values.ts'

const PART = /^(.+)\.(lora_a|lora_b|m)$/
type Part = 'lora_a' | 'lora_b' | 'm'

/**
 * A LoRA or DoRA as MLX saves it (`mlx_lm.lora`): y = W x + scale · (x a) b, with a `[in, rank]` and b `[rank, out]`, which is PEFT's
 * with both transposed and alpha = scale · rank. Of the configuration all else is how it was trained.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parseMlx(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  const { rank, scale, dora, layers } = readSettings(json)
  const modules = readModules(file, rank, scale, dora)
  const values = modules.reduce((sum, one) => sum + lowRankValues(one) + (one.magnitude === null ? 0 : one.outDim), 0)

  const plan = (info: ModelInfo, weights: BaseWeights): AdapterPlan => {
    checkLayers(modules, layers, info)
    const parts = placeModules(modules, info).map(({ module, base }) => {
      checkDims(module.path, [base.inDim, base.outDim], [module.inDim, module.outDim], module.names, info)
      if (module.magnitude === null) return { branches: planLowRank(module, base), gains: [] }
      return planDora(module, module.magnitude, base, file, weights)
    })
    const [branches, gains] = [parts.flatMap((part) => part.branches), parts.flatMap((part) => part.gains)]
    return { branches, gains, virtualTokens: null, tokenRows: null }
  }
  return {
    method: dora ? 'dora' : 'lora',
    baseModel: typeof json.model === 'string' ? json.model : null,
    outlines: modules.map(({ path }) => ({ ...placeOf(path), rank })),
    parameters: values,
    values,
    virtualTokens: 0,
    plan,
  }
}

interface Settings {
  readonly rank: number
  readonly scale: number
  readonly dora: boolean
  /** How many of the last layers it changes; null = not said, or all. */
  readonly layers: number | null
}

function readSettings(json: JsonObject): Settings {
  const { fine_tune_type: type = 'lora', lora_parameters: parameters } = json
  if (type !== 'lora' && type !== 'dora') {
    throw fieldRefusal('unsupported_adapter', 'fine_tune_type', type, 'supported: "lora", "dora"')
  }
  if (!isJsonObject(parameters)) {
    throw fieldRefusal('invalid_adapter', 'lora_parameters', parameters, 'it must be an object with rank and scale')
  }
  if (parameters.alpha !== undefined && parameters.alpha !== null) {
    const why = 'releases of MLX disagree on whether it counts: save the adapter with a current one'
    throw fieldRefusal('unsupported_adapter', 'lora_parameters.alpha', parameters.alpha, why)
  }
  const layers = json.num_layers ?? json.lora_layers
  return {
    rank: readRank('lora_parameters.rank', parameters.rank),
    scale: readNumber('lora_parameters.scale', parameters.scale),
    dora: type === 'dora' || readFlag('use_dora', json.use_dora),
    layers: typeof layers === 'number' && layers > 0 ? layers : null,
  }
}

function readModules(file: SafetensorsFile, rank: number, scale: number, dora: boolean): LoraModule[] {
  const found = new Map<string, Partial<Record<Part, string>>>()
  for (const name of [...file.tensors.keys()].sort()) {
    const match = PART.exec(name)
    if (match === null || (match[2] === 'm' && !dora)) {
      const text = `tensor "${name}" is no part of a ${dora ? 'DoRA' : 'LoRA'} of MLX (lora_a, lora_b${dora ? ', m' : ''})`
      throw new TroupeError('unsupported_adapter', text, { param: name })
    }
    found.set(match[1]!, { ...found.get(match[1]!), [match[2]!]: name })
  }
  if (found.size === 0) throw new TroupeError('invalid_adapter', `${file.file} holds no tensors`, { param: file.file })
  return [...found].map(([path, parts]) => {
    const part = (name: Part): string => {
      const tensor = parts[name]
      if (tensor !== undefined) return tensor
      const [there] = Object.values(parts)
      throw new TroupeError('invalid_adapter', `tensor "${there}" has no "${path}.${name}" beside it`, {
        param: there!,
      })
    }
    const [down, up, magnitude] = [part('lora_a'), part('lora_b'), dora ? part('m') : null]
    if (dora && !/\.\d+\./.test(path)) {
      throw new TroupeError('unsupported_adapter', `tensor "${down}": a DoRA is supported in layers, not on ${path}`, {
        param: down,
      })
    }
    expectShape(file, down, ['in', rank])
    expectShape(file, up, [rank, 'out'])
    const [inDim, outDim] = [file.entry(down).shape[0]!, file.entry(up).shape[1]!]
    if (magnitude !== null) expectShape(file, magnitude, [outDim])
    return {
      ...{ path, tensor: down, rank, scale, inDim, outDim, names: { down, up }, bias: null, magnitude },
      down: { count: rank * inDim, fill: (into: Float32Array) => into.set(transposed(file, down)) },
      rows: () => transposed(file, up),
    }
  })
}

function transposed(file: SafetensorsFile, name: string): Float32Array {
  const { shape } = file.entry(name)
  const into = new Float32Array(elementCount(shape))
  transposeInto(readFinite(file, name), shape[0]!, shape[1]!, into, shape[0]!, 0)
  return into
}

/** MLX adapts the last layers only. @throws TroupeError `base_mismatch` where the file has others than the configuration says */
function checkLayers(modules: readonly LoraModule[], layers: number | null, info: ModelInfo): void {
  if (layers === null) return
  const found = new Set(modules.map(({ path }) => placeOf(path).layer).filter((layer) => layer >= 0))
  const first = Math.max(0, info.layers - layers)
  const missing = Array.from({ length: info.layers - first }, (_, i) => first + i).find((layer) => !found.has(layer))
  if (missing === undefined && found.size === info.layers - first) return
  const what = missing === undefined ? 'the file has tensors of others' : `the file has none of layer ${missing}`
  const text = `they are the last ${layers} of this base model's ${info.layers}, but ${what}`
  throw fieldRefusal('base_mismatch', 'num_layers', layers, text)
}
