import { availableMemory } from '../config/defaults.ts'
import type { Precision } from '../core/model-info.ts'
import { PRECISIONS } from '../core/model-info.ts'
import type { Architecture } from './architecture.ts'
import type { BlockFormat } from './block-format.ts'
import { formatOf, packedPrecision, planFormats } from './block-format.ts'
import type { Checkpoint } from './checkpoint.ts'
import { checkCoverage } from './coverage.ts'
import { readArchitecture } from './families/families.ts'
import type { Layout } from './layout.ts'
import { planLayout } from './layout.ts'
import type { PackedWeights } from './packed/packed-weights.ts'
import { packedWeights } from './packed/packed-weights.ts'

/** Largest prepared weights for which `auto` takes f32, where the checkpoint has more than bf16 in it. */
const F32_BYTES = 2 ** 30

/** What a checkpoint is prepared to: known from its configuration and headers alone. */
export interface ModelPlan {
  readonly architecture: Architecture
  readonly packed: PackedWeights | null
  readonly precision: Precision
  readonly formats: (block: string) => BlockFormat
  readonly layout: Layout
  /** Precisions with fewer bytes, the largest first. */
  readonly smaller: readonly { readonly precision: Precision; readonly bytes: number }[]
}

/** @throws TroupeError `invalid_model` when the checkpoint cannot be served */
export function planModel(checkpoint: Checkpoint, choice: Precision | 'auto'): ModelPlan {
  const architecture = readArchitecture(checkpoint.config)
  const packed = packedWeights(checkpoint, architecture.modules)
  checkCoverage(checkpoint, architecture, packed)
  const bf16Exact = holdsBf16(checkpoint)
  const precision = pickPrecision(choice, architecture, packed, { bf16Exact, memoryBytes: availableMemory() })
  const layoutOf = (of: Precision): { formats: ModelPlan['formats']; layout: Layout } => {
    const formats = planFormats(architecture, of, packed)
    const roundsEmbedding = of === 'bf16' || (of !== 'f32' && bf16Exact)
    return { formats, layout: planLayout(architecture, formats, roundsEmbedding ? 'bf16' : 'f32') }
  }
  const chosen = layoutOf(precision)
  const smaller = PRECISIONS.slice(PRECISIONS.indexOf(precision) + 1).map((other) => ({
    precision: other,
    bytes: layoutOf(other).layout.bytes,
  }))
  return { architecture, packed, precision, ...chosen, smaller }
}

/** Whether every matrix of a checkpoint is in bf16. */
function holdsBf16(checkpoint: Checkpoint): boolean {
  const entries = checkpoint.tensorNames.map((name) => checkpoint.entry(name))
  return entries.every(({ dtype, shape }) => dtype === 'BF16' || shape.length < 2)
}

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
