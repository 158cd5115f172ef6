import { isEdgeKind } from '../../core/branch.ts'
import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import type { BaseModule } from '../base-modules.ts'
import { fieldRefusal, readRank } from '../config-fields.ts'
import type { LowRank } from '../low-rank.ts'
import { planLowRank } from '../low-rank.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { placeOf } from '../parsed.ts'
import type { AdapterPlan } from '../plan.ts'
import type { Values } from '../values.ts'
import { expectShape, readFinite } from '../values.ts'
import { planTokenRows } from './token-rows.ts'
import { readTunerConfig, requireTargets } from './fields.ts'
import { checkSelection, placeModules } from './placement.ts'
import { collectModules, requirePart } from './tensors.ts'

const RULES = {
  read: ['r', 'save_projection'],
  ignored: ['d_initial', 'init_weights', 'projection_prng_key', 'vera_dropout'],
}

const SHARED = /^base_model\.vera_([AB])(?:\.default)?$/

/** The two vectors of one module. */
interface VeraModule {
  readonly path: string
  readonly tensor: string
  /** Tensor `[outDim]`. */
  readonly b: string
  /** Tensor `[rank]`. */
  readonly d: string
  readonly outDim: number
}

/** The random matrices that all modules share; each reads the part that it has inputs and outputs for. */
interface Projection {
  readonly rank: number
  /** Tensor `[rank, largest in]`. */
  readonly A: string
  /** Tensor `[largest out, rank]`. */
  readonly B: string
}

/**
 * Reads a VeRA (Kopiczko et al. 2024): y = W x + b ∘ B (d ∘ A x), with A and B shared by all modules. The vectors are multiplied into `up`, so
 * that modules of the same width share one `down`.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parseVera(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  const config = readTunerConfig(json, RULES)
  requireTargets(config.targets)
  if (json['save_projection'] === false) {
    const why =
      'without its projection the adapter depends on a random generator of PyTorch; save it with save_projection=True'
    throw fieldRefusal('unsupported_adapter', 'save_projection', false, why)
  }
  const projection = readProjection(readRank('r', json['r']), file)
  const suffixes = [
    ['vera_lambda_b', 'vera_lambda_b'],
    ['vera_lambda_d', 'vera_lambda_d'],
  ] as const
  const own = [...file.tensors.keys()].filter((name) => !SHARED.test(name))
  const { modules: tensors, copies } = collectModules(file, suffixes, 'a VeRA', own)
  const { rank } = projection
  const modules = tensors.map((one): VeraModule => {
    const [b, d] = [requirePart(one, 'vera_lambda_b'), requirePart(one, 'vera_lambda_d')]
    expectShape(file, d, [rank])
    expectShape(file, b, ['out'])
    return { path: one.path, tensor: one.tensor, b, d, outDim: file.entry(b).shape[0]! }
  })
  const { A, B } = projection
  const shared = rank * (file.entry(A).shape[1]! + file.entry(B).shape[0]!)
  return {
    method: 'vera',
    baseModel: config.baseModel,
    outlines: modules.map(({ path }) => ({ ...placeOf(path), rank })),
    parameters: shared + modules.reduce((sum, { outDim }) => sum + outDim + rank, 0),
    values: rank * file.entry(A).shape[1]! + modules.reduce((sum, { outDim }) => sum + rank * outDim, 0),
    virtualTokens: 0,
    plan: (info, weights): AdapterPlan => {
      const placed = placeModules(modules, info)
      const downs = new Map<number, Values>()
      const branches = placed.flatMap(({ module, base }) =>
        planLowRank(update(module, base, projection, downs, file, info), base),
      )
      checkSelection(placed, config, info)
      const tokenRows = planTokenRows(copies, config, file, info, weights)
      return { branches, gains: [], virtualTokens: null, tokenRows }
    },
  }
}

function readProjection(rank: number, file: SafetensorsFile): Projection {
  const find = (side: 'A' | 'B'): string => {
    const name = [...file.tensors.keys()].find((one) => SHARED.exec(one)?.[1] === side)
    if (name !== undefined) return name
    const text = `${file.file} has no tensor base_model.vera_${side}: save the adapter with save_projection=True`
    throw new TroupeError('unsupported_adapter', text, { param: `base_model.vera_${side}` })
  }
  const [A, B] = [find('A'), find('B')]
  expectShape(file, A, [rank, 'in'])
  expectShape(file, B, ['out', rank])
  return { rank, A, B }
}

function update(
  { path, b, d, outDim, tensor }: VeraModule,
  base: BaseModule,
  { rank, A, B }: Projection,
  downs: Map<number, Values>,
  file: SafetensorsFile,
  info: ModelInfo,
): LowRank {
  const { inDim } = base
  if (base.parts.some(({ kind }) => isEdgeKind(kind))) {
    const text = `tensor "${tensor}" is for ${path}: VeRA is supported in layers`
    throw new TroupeError('unsupported_adapter', text, { param: tensor })
  }
  const [[, widest], [tallest]] = [file.entry(A).shape, file.entry(B).shape] as [[number, number], [number]]
  if (outDim !== base.outDim || outDim > tallest || inDim > widest) {
    const name = outDim !== base.outDim ? b : inDim > widest ? A : B
    const text =
      `tensor "${name}": ${path} maps ${inDim} to ${base.outDim} values in the base model ${info.name}, ` +
      `the adapter was made for ${outDim} outputs from a projection of ${widest} to ${tallest}`
    throw new TroupeError('base_mismatch', text, { param: name })
  }
  let down = downs.get(inDim)
  if (down === undefined) {
    const fill = (into: Float32Array): void => {
      const whole = readFinite(file, A)
      for (let r = 0; r < rank; r++) into.set(whole.subarray(r * widest, r * widest + inDim), r * inDim)
    }
    downs.set(inDim, (down = { count: rank * inDim, fill }))
  }
  const rows = (): Float32Array => {
    const [whole, outer, inner] = [readFinite(file, B), readFinite(file, b), readFinite(file, d)]
    return whole.slice(0, outDim * rank).map((value, i) => value * outer[Math.floor(i / rank)]! * inner[i % rank]!)
  }
  return { rank, scale: 1, inDim, outDim, names: { down: A, up: b }, down, rows, bias: null }
}
