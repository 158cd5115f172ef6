import type { Precision } from '../core/model-info.ts'
import type { Architecture } from './architecture.ts'
import { formatOf, packedPrecision } from './block-format.ts'
import { planLayout } from './layout.ts'
import type { PackedWeights } from './packed/packed-weights.ts'

/** Most bytes of prepared weights that `auto` takes: the first precision that keeps to its own. */
const AUTO_BYTES: readonly (readonly [Precision, number])[] = [
  ['f32', 2 ** 30],
  ['int8', 2 ** 32],
]

/** The precision that `auto` means for this model: that of packed weights, else `f32` up to 1 GiB, `int8` up to 4 GiB, `int4` above. */
export function pickPrecision(
  choice: Precision | 'auto',
  architecture: Architecture,
  packed: PackedWeights | null,
): Precision {
  if (choice !== 'auto') return choice
  if (packed !== null) return packedPrecision(packed)
  const fitting = AUTO_BYTES.find(([precision, most]) => {
    return planLayout(architecture, (block) => formatOf(precision, block)).bytes <= most
  })
  return fitting?.[0] ?? 'int4'
}
