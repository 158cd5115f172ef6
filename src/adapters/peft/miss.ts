import type { JsonObject } from '../../core/json.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import { transposeInto } from '../../core/transpose.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { checkDims } from '../base-fit.ts'
import type { BaseModule } from '../base-modules.ts'
import { fieldRefusal, readRank } from '../config-fields.ts'
import type { LowRank } from '../low-rank.ts'
import { planLowRank } from '../low-rank.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { placeOf } from '../parsed.ts'
import { expectShape, readFinite } from '../values.ts'
import { readTunerConfig, requireTargets } from './fields.ts'
import { checkSelection, placeModules } from './placement.ts'
import { collectModules, requirePart } from './tensors.ts'
import { planTokenRows } from './token-rows.ts'

/** The block of one module: `[rank, width]`, side by side until it is as wide as what the module returns. */
interface MissModule {
  readonly path: string
  readonly tensor: string
  readonly rank: number
  readonly width: number
  /** The block is repeated. */
  readonly mini: boolean
}

/**
 * Reads a MiSS (Kang and Yin 2024): the inputs are cut into pieces of r, the pieces are added up, and the sum is multiplied by a block
 * `[r, out]`. That is a branch whose `down` has a 1 where `i mod r = j`. The variant `mini` repeats a narrower block; `bat` multiplies the base
 * model's weight.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parseMiss(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  const config = readTunerConfig(json, { read: ['r', 'mini_r', 'init_weights'], ignored: ['miss_dropout'] })
  requireTargets(config.targets)
  const variant = json.init_weights
  if (typeof variant === 'string' && variant !== 'mini') {
    throw fieldRefusal('unsupported_adapter', 'init_weights', variant, 'supported: true, false, "mini"')
  }
  const rank = readRank('r', json.r)
  const { modules: tensors, copies } = collectModules(file, [['miss_block', 'miss_block']], 'a MiSS')
  const modules = tensors.map((one): MissModule => {
    const tensor = requirePart(one, 'miss_block')
    expectShape(file, tensor, [rank, variant === 'mini' ? readRank('mini_r', json.mini_r) : 'out'])
    return { path: one.path, tensor, rank, width: file.entry(tensor).shape[1]!, mini: variant === 'mini' }
  })
  const parameters = modules.reduce((sum, { width }) => sum + rank * width, 0)
  return {
    method: 'miss',
    baseModel: config.baseModel,
    outlines: modules.map(({ path }) => ({ ...placeOf(path), rank })),
    parameters,
    values: parameters,
    virtualTokens: 0,
    plan: (info, weights) => {
      const placed = placeModules(modules, info)
      checkSelection(placed, config, info)
      const branches = placed.flatMap(({ module, base }) => planLowRank(updateOf(module, base, file, info), base))
      return { branches, gains: [], virtualTokens: null, tokenRows: planTokenRows(copies, config, file, info, weights) }
    },
  }
}

function updateOf(
  { path, tensor, rank, width, mini }: MissModule,
  base: BaseModule,
  file: SafetensorsFile,
  info: ModelInfo,
): LowRank {
  const { inDim, outDim } = base
  const times = mini ? outDim / width : 1
  const names = { down: tensor, up: tensor }
  if (width * Math.floor(times) !== outDim) checkDims(path, [inDim, outDim], [inDim, width], names, info)
  return {
    ...{ rank, scale: 1, inDim, outDim, names, bias: null },
    down: {
      count: rank * inDim,
      fill: (into) => {
        into.fill(0)
        for (let i = 0; i < inDim; i++) into[(i % rank) * inDim + i] = 1
      },
    },
    rows: () => {
      const block = readFinite(file, tensor)
      const rows = new Float32Array(outDim * rank)
      for (let time = 0; time < times; time++) {
        transposeInto(block, rank, width, rows.subarray(time * width * rank), rank, 0)
      }
      return rows
    },
  }
}
