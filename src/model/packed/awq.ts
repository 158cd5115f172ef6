import type { ConfigFields } from '../families/config-fields.ts'
import { transposed, unpackAcross } from './integers.ts'
import { PackedMatrix } from './matrix.ts'
import type { Packing } from './packing.ts'
import { groupSizeOf } from './packing.ts'
import { readBits, readGroupSize } from './settings.ts'

/** Which of its eight outputs each nibble of a word holds, lowest first. */
const NIBBLES = [0, 2, 4, 6, 1, 3, 5, 7]

/**
 * AWQ folders (Lin et al. 2023; AutoAWQ's version `gemm`): `qweight` i32 `[in, out / 8]` with eight outputs in the nibbles of a word,
 * `qzeros` i32 `[groups, out / 8]` likewise, `scales` `[groups, out]`.
 */
export function readAwq(config: ConfigFields): Packing {
  const bits = readBits(config, config.has('w_bit') ? 'w_bit' : 'bits', [4])
  const groupSize = readGroupSize(config, config.has('q_group_size') ? 'q_group_size' : 'group_size')
  config.only('version', ['gemm', 'GEMM'])
  config.only('zero_point', [true])
  return {
    method: 'awq',
    bits,
    groupSize,
    zeros: true,
    marker: '.qweight',
    tensors: ({ inDim, outDim }) => {
      const groups = Math.ceil(inDim / groupSizeOf({ groupSize }, inDim))
      return {
        '.qweight': [inDim, Math.ceil(outDim / 8)],
        '.qzeros': [groups, Math.ceil(outDim / 8)],
        '.scales': [groups, outDim],
      }
    },
    optional: [],
    inputs: () => null,
    read: (source, stem, { inDim, outDim }) => {
      const width = groupSizeOf({ groupSize }, inDim)
      const groups = Math.ceil(inDim / width)
      const steps = unpackAcross(source.readI32(`${stem}.qweight`), inDim, outDim, bits, NIBBLES)
      const zeros = unpackAcross(source.readI32(`${stem}.qzeros`), groups, outDim, bits, NIBBLES)
      const scales = transposed(source.readF32(`${stem}.scales`), groups, outDim)
      return new PackedMatrix({ bits, outDim, inDim, groupSize: width, steps, zeros, scales, inputs: null })
    },
  }
}
