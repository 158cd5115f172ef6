import type { Precision } from '../core/model-info.ts'
import type { Architecture } from './architecture.ts'
import { formatOf, packedPrecision } from './block-format.ts'
import { planLayout } from './layout.ts'
import type { PackedWeights } from './packed/packed-weights.ts'

/** Largest prepared weights for which `auto` takes f32, where the checkpoint has more than bf16 in it. */
const F32_BYTES = 2 ** 30

/** What decides between precisions. */
export interface PrecisionFacts {
  /** Whether bf16 holds every weight of the checkpoint exactly. */
  readonly bf16Exact: boolean
  /** Memory that this process may use, in bytes. */
  readonly memoryBytes: number
}

/**
 * The precision that `auto` means for this model: that of packed weights; else the first that loses nothing and fits half of the memory, so that
 * KV pages and adapters have room; else `int8`, and `int4` where even that does not fit.
 */
export function pickPrecision(
  choice: Precision | 'auto',
  architecture: Architecture,
  packed: PackedWeights | null,
  { bf16Exact, memoryBytes }: PrecisionFacts,
): Precision {
  if (choice !== 'auto') return choice
  if (packed !== null) return packedPrecision(packed)
  const room = memoryBytes / 2
  const fits = (precision: Precision, most: number): boolean =>
    planLayout(architecture, (block) => formatOf(precision, block), precision === 'f32' ? 'f32' : 'bf16').bytes <= most
  if (!bf16Exact && fits('f32', Math.min(room, F32_BYTES))) return 'f32'
  if (fits('bf16', room)) return 'bf16'
  return fits('int8', room) ? 'int8' : 'int4'
}
