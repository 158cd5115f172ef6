import type { Precision } from '../core/model-info.ts'

/** Bits of a quantised weight. */
export type StepBits = 4 | 8

/** How the weights of a linear block are written; see `prepared.ts`. */
export type BlockFormat =
  | { readonly kind: 'f32' }
  /** Rounded by `quantize.ts`: blocks of `QUANT_BLOCK` inputs, symmetric. */
  | { readonly kind: 'rounded'; readonly bits: StepBits }

/** Inputs that share one scale in a block that we round ourselves. */
export const QUANT_BLOCK = 32

/** What blocks are written as when the checkpoint has plain weights. */
export function formatOf(precision: Precision): BlockFormat {
  if (precision === 'f32') return { kind: 'f32' }
  return { kind: 'rounded', bits: precision === 'int4' ? 4 : 8 }
}

/** Name of the tensor with a block's steps. */
export function stepsTensor(block: string, bits: StepBits): string {
  return `${block}.q${bits}`
}
