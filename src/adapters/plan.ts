import type { Activation, AdapterWeights, Branch, Gain, LinearKind, SiteKind, VirtualTokens } from '../core/branch.ts'
import type { Values } from './values.ts'

/** One branch before its values are read: where it acts and what makes it. */
export interface BranchPlan {
  readonly layer: number
  readonly kind: SiteKind
  readonly rank: number
  readonly inDim: number
  readonly outDim: number
  readonly activation: Activation
  readonly scale: number
  /** The tensors to name when `inDim` or `outDim` does not fit. */
  readonly names: { readonly down: string; readonly up: string }
  /** `[rank, inDim]` */
  readonly down: Values
  /** `[rank, outDim]` */
  readonly up: Values
  /** `[rank]` */
  readonly a: Values | null
  /** `[outDim]` */
  readonly c: Values | null
}

/** One gain before its values are read. */
export interface GainPlan {
  readonly layer: number
  readonly kind: LinearKind
  readonly side: Gain['side']
  readonly values: Values
}

/** Virtual tokens before their values are read; shapes as of `VirtualTokens`. */
export type VirtualPlan =
  | { readonly type: 'embeddings'; readonly count: number; readonly values: Values }
  | {
      readonly type: 'keys_values'
      readonly count: number
      readonly layers: readonly { readonly keys: Values; readonly values: Values }[]
      readonly usePositions: boolean
    }

/** Rows of embedding and head before their values are read; shapes as of `TokenRows`. */
export interface TokenRowsPlan {
  readonly ids: Int32Array
  readonly embed: Values | null
  readonly head: Values | null
}

/** Everything an adapter does in one base model. */
export interface AdapterPlan {
  readonly branches: readonly BranchPlan[]
  readonly gains: readonly GainPlan[]
  readonly virtualTokens: VirtualPlan | null
  readonly tokenRows: TokenRowsPlan | null
}

/**
 * Reads and computes all values as f32 into one shared buffer.
 *
 * @param memory the buffer, if it is exactly as large; else a new one
 * @throws TroupeError `invalid_adapter` naming a tensor with a value that is not finite
 */
export function loadPlan(
  plan: AdapterPlan,
  memory: SharedArrayBuffer | null = null,
): Omit<AdapterWeights, 'digest' | 'method'> {
  const views = fillAll(plan, memory)
  const view = (values: Values): Float32Array => views.get(values)!
  const viewOrNull = (values: Values | null): Float32Array | null => values && view(values)
  const branches = plan.branches.map(({ layer, kind, rank, scale, activation, down, up, a, c }): Branch => {
    return { layer, kind, rank, scale, activation, down: view(down), up: view(up), a: viewOrNull(a), c: viewOrNull(c) }
  })
  const gains = plan.gains.map(({ layer, kind, side, values }): Gain => ({ layer, kind, side, values: view(values) }))
  let bytes = 0
  for (const { byteLength } of views.values()) bytes += byteLength
  const { tokenRows: rows } = plan
  const tokenRows = rows && { ids: rows.ids, embed: viewOrNull(rows.embed), head: viewOrNull(rows.head) }
  return { branches, gains, virtualTokens: loadVirtual(plan.virtualTokens, view), tokenRows, bytes }
}

function loadVirtual(plan: VirtualPlan | null, view: (values: Values) => Float32Array): VirtualTokens | null {
  if (plan === null) return null
  if (plan.type === 'embeddings') return { ...plan, values: view(plan.values) }
  return { ...plan, layers: plan.layers.map(({ keys, values }) => ({ keys: view(keys), values: view(values) })) }
}

function fillAll(
  { branches, gains, virtualTokens, tokenRows }: AdapterPlan,
  memory: SharedArrayBuffer | null,
): Map<Values, Float32Array> {
  const all = new Set<Values>()
  for (const { down, up, a, c } of branches) for (const values of [down, up, a, c]) if (values !== null) all.add(values)
  for (const { values } of gains) all.add(values)
  if (virtualTokens?.type === 'embeddings') all.add(virtualTokens.values)
  else for (const { keys, values } of virtualTokens?.layers ?? []) all.add(keys).add(values)
  for (const values of [tokenRows?.embed, tokenRows?.head]) if (values) all.add(values)
  let total = 0
  for (const { count } of all) total += count
  const bytes = total * Float32Array.BYTES_PER_ELEMENT
  const shared = memory?.byteLength === bytes ? memory : new SharedArrayBuffer(bytes)
  const views = new Map<Values, Float32Array>()
  let used = 0
  for (const values of all) {
    const view = new Float32Array(shared, used, values.count)
    used += view.byteLength
    values.fill(view)
    views.set(values, view)
  }
  return views
}
