import type { BaseWeights } from '../core/base-weights.ts'
import type { Method } from '../core/branch.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { AdapterPlan } from './plan.ts'

/** What a listing needs to know of a module. */
export interface Outline {
  /** −1 in no layer. */
  readonly layer: number
  readonly site: string
  /** 0 for a gain. */
  readonly rank: number
}

/** An adapter read so far as it can be without its base model: what all formats and methods have in common. */
export interface ParsedAdapter {
  readonly method: Method
  /** What the files say they were trained on. */
  readonly baseModel: string | null
  /** The modules under the names the files give them. */
  readonly outlines: readonly Outline[]
  /** Values in all tensors that act. */
  readonly parameters: number
  /** Values in memory, as far as the files alone tell. */
  readonly values: number
  readonly virtualTokens: number
  /** What whoever serves it should know; none where left out. */
  readonly warnings?: readonly string[]
  /** What it does in a base model; throws when it does not fit. `weights` are asked for by methods that depend on them. */
  readonly plan: (info: ModelInfo, weights: BaseWeights) => AdapterPlan
}

/** `model.layers.3.self_attn.q_proj` is `layers.3.q_proj`, whatever the family; what is in no layer comes first under its whole path. */
export function placeOf(path: string): Pick<Outline, 'layer' | 'site'> {
  const match = /\.(\d+)\..*?([^.]+)$/.exec(path)
  if (match === null) return { layer: -1, site: path }
  return { layer: Number(match[1]), site: `layers.${match[1]}.${match[2]}` }
}
