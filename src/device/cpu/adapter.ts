import type { AdapterWeights, SiteKind } from '../../core/branch.ts'
import { ACTIVATIONS, EDGE_KINDS, LINEAR_KINDS, RESIDUAL_KINDS } from '../../core/branch.ts'
import type { NativeAdapter } from '../../native/addon.ts'

/** Sites as `native/runtime/adapter.h` numbers them. */
const SITES: readonly SiteKind[] = [...LINEAR_KINDS, ...RESIDUAL_KINDS, ...EDGE_KINDS]

/** Weights that may have rows of embedding and head of their own. */
export type DeviceAdapter = AdapterWeights & { readonly tokenRows?: NativeAdapter['tokens'] }

/** An adapter's weights in the addon's terms; the arrays stay the adapter's. */
export function nativeAdapter({ branches, gains, virtualTokens, tokenRows }: DeviceAdapter): NativeAdapter {
  return {
    branches: branches.map(({ kind, activation, ...branch }) => ({
      ...branch,
      site: SITES.indexOf(kind),
      activation: ACTIVATIONS.indexOf(activation),
    })),
    gains: gains.map(({ layer, kind, side, values }) => ({
      layer,
      site: SITES.indexOf(kind),
      out: side === 'out',
      values,
    })),
    embeddings: virtualTokens?.type === 'embeddings' ? virtualTokens : null,
    prefix: virtualTokens?.type === 'keys_values' ? virtualTokens : null,
    tokens: tokenRows ?? null,
  }
}
