import { isJsonObject } from '../../core/json.ts'
import { ConfigFields } from '../families/config-fields.ts'
import { unpackAcross, unpackDown } from './integers.ts'
import { PackedMatrix } from './matrix.ts'
import { inputsByGroup, reorderInputs } from './order.ts'
import type { Packing } from './packing.ts'
import { groupSizeOf } from './packing.ts'
import { readBits, readGroupSize } from './settings.ts'

/**
 * Folders of compressed-tensors in format `pack-quantized` (llm-compressor): `weight_packed` i32 `[out, in · bits / 32]` with the inputs of
 * a word in its bits, `weight_scale` `[out, groups]`, `weight_zero_point` i32 `[out · bits / 32, groups]` where weights are not symmetric,
 * `weight_g_idx` i32 `[in]` with `actorder: "group"`. Steps and zero points have 2^(bits − 1) added.
 */
export function readCompressedTensors(config: ConfigFields): Packing {
  config.only('format', ['pack-quantized'])
  if (!config.has('format')) throw config.refuse('format', '"pack-quantized"')
  for (const field of ['kv_cache_scheme', 'sparsity_config']) {
    const value = config.raw(field)
    if (value !== undefined && !(isJsonObject(value) && Object.keys(value).length === 0))
      throw config.refuse(field, 'absent')
  }
  const weights = readScheme(config)
  const bits = readBits(weights, 'num_bits')
  weights.only('type', ['int'])
  weights.only('strategy', ['group', 'channel'])
  weights.only('dynamic', [false])
  weights.only('actorder', ['weight', 'static', 'group'])
  const groupSize = weights.raw('strategy') === 'channel' ? null : readGroupSize(weights, 'group_size')
  const symmetric = weights.flag('symmetric', true)
  const reordered = weights.raw('actorder') === 'group'
  const packing: Packing = {
    method: 'compressed-tensors',
    bits,
    groupSize,
    zeros: !symmetric,
    marker: '.weight_packed',
    tensors: ({ inDim, outDim }) => {
      const groups = Math.ceil(inDim / groupSizeOf({ groupSize }, inDim))
      return {
        '.weight_packed': [outDim, Math.ceil((inDim * bits) / 32)],
        '.weight_scale': [outDim, groups],
        '.weight_shape': [2],
        ...(symmetric ? {} : { '.weight_zero_point': [Math.ceil((outDim * bits) / 32), groups] }),
        ...(reordered ? { '.weight_g_idx': [inDim] } : {}),
      }
    },
    optional: [],
    inputs: (source, stem, { inDim }) => {
      const tensor = `${stem}.weight_g_idx`
      return reordered ? inputsByGroup(source.readI32(tensor), groupSizeOf({ groupSize }, inDim), tensor) : null
    },
    read: (source, stem, size) => {
      const { inDim, outDim } = size
      const width = groupSizeOf({ groupSize }, inDim)
      const groups = Math.ceil(inDim / width)
      const inputs = packing.inputs(source, stem, size)
      const across = unpackAcross(source.readI32(`${stem}.weight_packed`), outDim, inDim, bits, undefined, false)
      const steps = reorderInputs(across, inputs)
      // `[groups, out]` columns of words become rows of the outputs.
      const zeros = symmetric
        ? null
        : turn(unpackDown(source.readI32(`${stem}.weight_zero_point`), outDim, groups, bits), outDim)
      const scales = source.readF32(`${stem}.weight_scale`)
      return new PackedMatrix({ bits, outDim, inDim, groupSize: width, steps, zeros, scales, inputs })
    },
  }
  return packing
}

/** The one scheme for all linear layers; several groups with settings of their own are refused. */
function readScheme(config: ConfigFields): ConfigFields {
  const groups = config.raw('config_groups')
  const [scheme, ...others] = isJsonObject(groups) ? Object.values(groups) : []
  if (!isJsonObject(scheme) || others.length > 0) throw config.refuse('config_groups', 'one group')
  const fields = new ConfigFields(scheme, 'config.json: quantization_config.config_groups')
  for (const field of ['input_activations', 'output_activations']) fields.only(field, [])
  const weights = fields.raw('weights')
  if (!isJsonObject(weights)) throw fields.refuse('weights', 'an object')
  return new ConfigFields(weights, 'config.json: quantization_config.config_groups.weights')
}

/** `[groups, rows]` as `[rows, groups]`. */
function turn(values: Uint8Array, rows: number): Uint8Array {
  const groups = values.length / rows
  return Uint8Array.from(values, (_, i) => values[(i % groups) * rows + Math.floor(i / groups)]!)
}
