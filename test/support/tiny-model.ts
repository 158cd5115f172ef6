import { EDGE_KINDS, RESIDUAL_KINDS } from '../../src/core/branch.ts'
import type { ModelInfo } from '../../src/core/model-info.ts'
import { llamaModules } from '../../src/model/families/modules.ts'

/** A model description of a few kilobytes for tests that need shapes but no weights. */
export function tinyInfo(changes: Partial<ModelInfo> = {}): ModelInfo {
  return {
    name: 'tiny',
    family: 'llama',
    fingerprint: 'sha256:0',
    precision: 'f32',
    layers: 2,
    hidden: 8,
    heads: 2,
    kvHeads: 1,
    headDim: 4,
    vocab: 32,
    maxContext: 64,
    linear: {
      q_proj: [8, 8],
      k_proj: [8, 4],
      v_proj: [8, 4],
      o_proj: [8, 8],
      gate_proj: [8, 16],
      up_proj: [8, 16],
      down_proj: [16, 8],
    },
    residual: RESIDUAL_KINDS,
    modules: llamaModules({ hidden: 8, heads: 2, kvHeads: 1, headDim: 4, mlp: 16 }),
    basePrefix: 'model.',
    edges: EDGE_KINDS,
    windowed: false,
    longRope: false,
    otherModules: [
      { path: 'model.embed_tokens', kind: 'embed_tokens' },
      { path: 'lm_head', kind: 'lm_head' },
    ],
    ...changes,
  }
}
