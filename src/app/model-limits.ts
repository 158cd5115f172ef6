import { availableParallelism } from 'node:os'
import { formatByteSize } from '../config/byte-size.ts'
import type { Settings } from '../config/schema.ts'
import { TroupeError } from '../core/errors.ts'
import type { AdapterFormat, KvFormat, ModelInfo } from '../core/model-info.ts'
import { kvPageBytes } from '../device/kv-size.ts'
import { PAGE_TOKENS } from '../device/port.ts'

/** Context taken unless one is set: an answer without a limit goes on to its end. */
const DEFAULT_MAX_CONTEXT = 2048

/** The context to serve with, in tokens. Throws `invalid_config` when more is asked for than the model supports. */
export function contextLength(info: Pick<ModelInfo, 'name' | 'maxContext'>, asked: number | undefined): number {
  if (asked === undefined) return Math.min(info.maxContext, DEFAULT_MAX_CONTEXT)
  if (asked <= info.maxContext) return asked
  throw new TroupeError(
    'invalid_config',
    `maxContext is ${asked}, but ${info.name} supports ${info.maxContext} tokens: set at most that`,
    { param: 'maxContext' },
  )
}

/** How keys and values are kept. */
export interface KvPlan {
  readonly format: KvFormat
  readonly pages: number
}

/**
 * The pages that `kvBytes` holds, no more than all sequences together can use. Throws `invalid_config` when one sequence can be longer than they are.
 */
export function planKv(
  info: Pick<ModelInfo, 'precision' | 'layers' | 'kvHeads' | 'headDim'>,
  { kvBytes, kvPrecision, maxBatch }: Pick<Settings, 'kvBytes' | 'kvPrecision' | 'maxBatch'>,
  maxContext: number,
): KvPlan {
  const format = kvPrecision === 'auto' ? (info.precision === 'f32' ? 'f32' : 'bf16') : kvPrecision
  const pageBytes = kvPageBytes(info, format)
  const longest = Math.ceil(maxContext / PAGE_TOKENS)
  const pages = Math.min(Math.floor(kvBytes / pageBytes), maxBatch * longest)
  if (pages >= longest) return { format, pages }
  throw new TroupeError(
    'invalid_config',
    `kvBytes is ${formatByteSize(kvBytes)} and holds the keys and values of ${pages * PAGE_TOKENS} tokens, but a sequence may have ${maxContext} ` +
      `and then needs ${formatByteSize(longest * pageBytes)}: raise kvBytes or lower maxContext`,
    { param: 'kvBytes' },
  )
}

/** How adapters are kept. */
export function adapterFormat({ precision }: ModelInfo, asked: Settings['adapterPrecision']): AdapterFormat {
  return asked === 'auto' ? (precision === 'f32' ? 'f32' : 'bf16') : asked
}

/** Threads of a step. */
export function threadCount(asked: number): number {
  return asked === 0 ? availableParallelism() : asked
}
