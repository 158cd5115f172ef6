import type { Activation, AdapterWeights, Branch, Gain, SiteKind, VirtualTokens } from '../core/branch.ts'
import { isLinearKind } from '../core/branch.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { siteCount, siteDims } from '../core/model-info.ts'
import type { GainKind, GraphSpec } from '../model/graph/spec.ts'
import { specFor } from '../model/graph/spec.ts'

/** What one adapter version puts on the stack of one site kind: the same number of rows in every layer. */
export interface PackedKind {
  /** Largest rank of any layer, plus one row when there is a bias after `up`. */
  readonly rows: number
  readonly activation: Activation
  /** By layer; null where the module has no branch. */
  readonly branches: readonly (Branch | null)[]
}

/** Keys and values that a sequence begins with. */
export type KvPrefix = Extract<VirtualTokens, { type: 'keys_values' }>

/** An adapter version as the bank and the graph see it. The weights stay where they are. */
export interface PackedAdapter {
  readonly digest: string
  readonly kinds: ReadonlyMap<SiteKind, PackedKind>
  /** By layer; null where the layer has no gain. */
  readonly gains: ReadonlyMap<GainKind, readonly (Float32Array | null)[]>
  /** null also for virtual tokens that are vectors until the model has evaluated them. */
  readonly prefix: KvPrefix | null
  /** Bytes it takes in the bank. */
  readonly bytes: number
  /** The sites and non-linearities a graph needs to run it. */
  readonly spec: GraphSpec
}

/**
 * Groups branches by site kind. A bias `c` after `up` becomes one more rank row with `down = 0`, `a = 1` and `up = c / φ(1)`, so the graph
 * needs no case for it.
 */
export function packAdapter(weights: Omit<AdapterWeights, 'method' | 'bytes'>, info: ModelInfo): PackedAdapter {
  const { digest, branches, virtualTokens } = weights
  const kinds = new Map<SiteKind, PackedKind>()
  const activations = new Set<Activation>()
  let bytes = 0
  for (const [kind, layers] of byKind(branches, ({ kind }) => kind, info)) {
    const packed = packKind(kind, layers)
    kinds.set(kind, packed)
    activations.add(packed.activation)
    bytes += packed.rows * bytesPerRow(info, kind)
  }
  const gains = new Map<GainKind, (Float32Array | null)[]>()
  for (const [kind, layers] of byKind(weights.gains, gainKind, info)) {
    gains.set(
      kind,
      layers.map((gain) => gain?.values ?? null),
    )
    bytes += bytesPerGain(info, kind)
  }
  const prefix = virtualTokens?.type === 'keys_values' ? virtualTokens : null
  const linearBias = branches.some(({ kind, a, c }) => isLinearKind(kind) && (a !== null || c !== null))
  const positions = prefix !== null && !prefix.usePositions
  const spec = { ...specFor(kinds.keys(), activations), gains: [...gains.keys()], linearBias, positions }
  return { digest, kinds, gains, prefix, bytes, spec }
}

/** Bytes one rank row takes over all layers: down, up and its bias. */
export function bytesPerRow(info: ModelInfo, kind: SiteKind): number {
  const [inDim, outDim] = siteDims(info, kind)
  return (inDim + outDim + 1) * Float32Array.BYTES_PER_ELEMENT * siteCount(info, kind)
}

/** Channels a gain of this kind multiplies. */
export function gainChannels(info: ModelInfo, kind: GainKind): number {
  const [linear, side] = kind.split('.') as [Gain['kind'], Gain['side']]
  return siteDims(info, linear)[side === 'in' ? 0 : 1]
}

function bytesPerGain(info: ModelInfo, kind: GainKind): number {
  return gainChannels(info, kind) * Float32Array.BYTES_PER_ELEMENT * info.layers
}

function gainKind({ kind, side }: Gain): GainKind {
  return `${kind}.${side}`
}

/** Groups parts by kind and, in that, by layer. */
function byKind<K extends SiteKind | GainKind, P extends { readonly layer: number }>(
  parts: readonly P[],
  kindOf: (part: P) => K,
  info: ModelInfo,
): Map<K, (P | null)[]> {
  const kinds = new Map<K, (P | null)[]>()
  for (const part of parts) {
    const kind = kindOf(part)
    let layers = kinds.get(kind)
    if (layers === undefined) {
      const count = kind === 'embed_tokens' || kind === 'lm_head' ? 1 : info.layers
      kinds.set(kind, (layers = new Array<P | null>(count).fill(null)))
    }
    if (layers[part.layer]) throw new Error(`two of ${kind} in layer ${part.layer}`)
    layers[part.layer] = part
  }
  return kinds
}

function packKind(kind: SiteKind, layers: readonly (Branch | null)[]): PackedKind {
  const present = layers.filter((branch) => branch !== null)
  const rank = Math.max(...present.map((branch) => branch.rank))
  const phi = present[0]!.activation
  if (present.some((branch) => branch.activation !== phi)) throw new Error(`different non-linearities at ${kind}`)
  const residual = specFor([kind]).residual.length > 0
  if (!residual && phi !== 'identity') throw new Error(`a branch at ${kind} has a non-linearity`)
  const biased = present.some((branch) => branch.a !== null || branch.c !== null)
  if (biased && !residual && !isLinearKind(kind)) throw new Error(`a branch at ${kind} has a bias`)
  const rows = present.some((branch) => branch.c !== null) ? rank + 1 : rank
  return { rows, activation: phi, branches: layers }
}
