import type { KvFormat, ModelInfo } from '../core/model-info.ts'
import { PAGE_TOKENS } from './port.ts'

const NUMBER_BYTES: Readonly<Record<KvFormat, number>> = { f32: 4, bf16: 2, int8: 1 }
const LINE_BYTES = 64

/** Bytes of one page of keys and values: `PAGE_TOKENS` tokens of all layers; see `native/core/attend.h`. */
export function kvPageBytes(
  { layers, kvHeads, headDim }: Pick<ModelInfo, 'layers' | 'kvHeads' | 'headDim'>,
  format: KvFormat,
): number {
  const numbers = Math.ceil((headDim * PAGE_TOKENS * NUMBER_BYTES[format]) / LINE_BYTES) * LINE_BYTES
  const scales = format === 'int8' ? PAGE_TOKENS * Float32Array.BYTES_PER_ELEMENT : 0
  return 2 * layers * kvHeads * (numbers + scales)
}
