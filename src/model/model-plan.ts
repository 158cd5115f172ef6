import { availableMemory } from '../config/defaults.ts'
import type { Precision } from '../core/model-info.ts'
import { PRECISIONS } from '../core/model-info.ts'
import type { Architecture } from './architecture.ts'
import type { BlockFormat } from './block-format.ts'
import { planFormats } from './block-format.ts'
import type { Checkpoint } from './checkpoint.ts'
import { checkCoverage } from './coverage.ts'
import { readArchitecture } from './families/families.ts'
import type { Layout } from './layout.ts'
import { planLayout } from './layout.ts'
import type { PackedWeights } from './packed/packed-weights.ts'
import { packedWeights } from './packed/packed-weights.ts'
import { pickPrecision } from './pick-precision.ts'

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
