import type { ModelInfo } from '../core/model-info.ts'
import type { VirtualPlan } from './plan.ts'

/** The sizes of keys and values of virtual tokens. */
export type KeyValueSizes = Pick<ModelInfo, 'layers' | 'kvHeads' | 'headDim'>

/**
 * Virtual tokens from one array `[count, layers, 2, kvHeads, headDim]` of keys and values, as both libraries lay them out.
 *
 * @param read gives the array; asked once
 */
export function planKeysValues(
  read: () => Float32Array,
  count: number,
  { layers, kvHeads, headDim }: KeyValueSizes,
  usePositions: boolean,
): VirtualPlan {
  const width = kvHeads * headDim
  let all: Float32Array | null = null
  const part = (layer: number, which: 0 | 1) => ({
    count: count * width,
    fill: (into: Float32Array): void => {
      all ??= read()
      for (let token = 0; token < count; token++) {
        const from = ((token * layers + layer) * 2 + which) * width
        for (let head = 0; head < kvHeads; head++) {
          const start = from + head * headDim
          into.set(all.subarray(start, start + headDim), (head * count + token) * headDim)
        }
      }
    },
  })
  const each = Array.from({ length: layers }, (_, layer) => ({ keys: part(layer, 0), values: part(layer, 1) }))
  return { type: 'keys_values', count, layers: each, usePositions }
}
