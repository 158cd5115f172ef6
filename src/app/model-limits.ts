import { formatByteSize } from '../config/byte-size.ts'
import { TroupeError } from '../core/errors.ts'
import type { ModelInfo } from '../core/model-info.ts'

/** Context taken unless one is set: the KV cache of every slot is as long. */
const DEFAULT_MAX_CONTEXT = 2048
const DEFAULT_DRAFT = 8

/** The context to serve with, in tokens. Throws `invalid_config` when more is asked for than the model supports. */
export function contextLength(info: ModelInfo, asked: number | undefined): number {
  if (asked === undefined) return Math.min(info.maxContext, DEFAULT_MAX_CONTEXT)
  if (asked <= info.maxContext) return asked
  throw new TroupeError(
    'invalid_config',
    `maxContext is ${asked}, but ${info.name} supports ${info.maxContext} tokens: set at most that`,
    { param: 'maxContext' },
  )
}

/**
 * Most drafted tokens of a call. None unless asked for where activations are rounded to int8: that makes more of the last-bit differences
 * between calls of one and of several tokens, so greedy answers would not always stay the same (docs/engine.md).
 */
export function draftLength({ precision }: ModelInfo, asked: number | undefined): number {
  return asked ?? (precision === 'f32' ? DEFAULT_DRAFT : 0)
}

/** Refuses a KV cache that cannot fit: f32 keys and values for every slot, layer, head and position. */
export function checkKvFits(info: ModelInfo, slots: number, maxContext: number, memoryBytes: number): void {
  const bytes = 2 * info.layers * info.kvHeads * info.headDim * Float32Array.BYTES_PER_ELEMENT * slots * maxContext
  if (bytes <= memoryBytes) return
  throw new TroupeError(
    'invalid_config',
    `${slots} sequences of ${maxContext} tokens need a KV cache of ${formatByteSize(bytes)}, there are ` +
      `${formatByteSize(memoryBytes)} of memory: lower maxBatch or maxContext`,
    { param: 'maxContext' },
  )
}
