import { TroupeError } from '../../core/errors.ts'
import { isJsonObject } from '../../core/json.ts'
import type { ConfigFields } from '../families/config-fields.ts'
import { transposed, unpackAcross, unpackDown } from './integers.ts'
import { PackedMatrix } from './matrix.ts'
import { inputsByGroup, reorderInputs } from './order.ts'
import type { Packing } from './packing.ts'
import { groupSizeOf } from './packing.ts'
import { readBits, readGroupSize } from './settings.ts'

/**
 * GPTQ folders (Frantar et al. 2022; AutoGPTQ, GPTQModel): `qweight` i32 `[in · bits / 32, out]` with the inputs of a word in its bits,
 * `qzeros` i32 `[groups, out · bits / 32]`, `scales` `[groups, out]`, `g_idx` i32 `[in]`. Format `gptq` stores zero points less one,
 * `gptq_v2` as they are.
 */
export function readGptq(config: ConfigFields): Packing {
  const bits = readBits(config, 'bits')
  const groupSize = readGroupSize(config, 'group_size')
  config.only('checkpoint_format', ['gptq', 'gptq_v2'])
  config.only('pack_dtype', ['int32'])
  config.only('is_marlin_format', [false])
  requirePlainModules(config)
  const stored = config.raw('checkpoint_format') === 'gptq_v2' ? 0 : 1
  const reordered = config.flag('desc_act', false)
  const symmetric = config.flag('sym', true)
  const packing: Packing = {
    method: 'gptq',
    bits,
    groupSize,
    zeros: !symmetric,
    marker: '.qweight',
    tensors: ({ inDim, outDim }) => {
      const groups = Math.ceil(inDim / groupSizeOf({ groupSize }, inDim))
      return {
        '.qweight': [Math.ceil((inDim * bits) / 32), outDim],
        '.qzeros': [groups, Math.ceil((outDim * bits) / 32)],
        '.scales': [groups, outDim],
        ...(reordered ? { '.g_idx': [inDim] } : {}),
      }
    },
    optional: reordered ? [] : ['.g_idx'],
    inputs: (source, stem, { inDim }) => {
      const tensor = `${stem}.g_idx`
      if (!source.has(tensor)) return null
      const inputs = inputsByGroup(source.readI32(tensor), groupSizeOf({ groupSize }, inDim), tensor)
      if (inputs === null || reordered) return inputs
      const text = `"${tensor}" spreads groups over the inputs, but "desc_act" is false; set it to true if that is meant`
      throw new TroupeError('invalid_model', text, { param: tensor })
    },
    read: (source, stem, size) => {
      const { inDim, outDim } = size
      const width = groupSizeOf({ groupSize }, inDim)
      const groups = Math.ceil(inDim / width)
      const inputs = packing.inputs(source, stem, size)
      const steps = reorderInputs(unpackDown(source.readI32(`${stem}.qweight`), inDim, outDim, bits), inputs)
      const zeros = unpackAcross(source.readI32(`${stem}.qzeros`), groups, outDim, bits)
      for (let i = 0; i < zeros.length; i++) zeros[i] = trueZero(zeros[i]! + stored, bits, symmetric, `${stem}.qzeros`)
      const scales = transposed(source.readF32(`${stem}.scales`), groups, outDim)
      const own = symmetric ? null : zeros
      return new PackedMatrix({ bits, outDim, inDim, groupSize: width, steps, zeros: own, scales, inputs })
    },
  }
  return packing
}

/** Checks a zero point against the range and, in symmetric weights, against the middle of it. */
function trueZero(zero: number, bits: number, symmetric: boolean, tensor: string): number {
  if (zero >= 2 ** bits) {
    // A true zero point of 0 wraps round and spills into its neighbours; libraries read the result in different ways.
    const text = `"${tensor}" has a zero point that format "gptq" cannot tell; save the model with checkpoint_format "gptq_v2"`
    throw new TroupeError('invalid_model', text, { param: tensor })
  }
  if (!symmetric || zero === 2 ** (bits - 1)) return zero
  const fix = `write "sym": false, or the right "checkpoint_format"`
  const text = `config.json says "sym": true, but "${tensor}" has the zero point ${zero} and not ${2 ** (bits - 1)}; ${fix}`
  throw new TroupeError('invalid_model', text, { param: tensor })
}

/** GPTQModel's `dynamic` may leave modules unpacked (`-:pattern`), but not give them settings of their own. */
function requirePlainModules(config: ConfigFields): void {
  const dynamic = config.raw('dynamic')
  if (dynamic === undefined || dynamic === false) return
  if (isJsonObject(dynamic) && Object.keys(dynamic).every((pattern) => pattern.startsWith('-:'))) return
  throw config.refuse('dynamic', 'patterns that begin with "-:"')
}
