import type { LinearKind } from '../../core/branch.ts'
import type { LinearModule } from '../../core/model-info.ts'

/** Sizes that linear modules are made of. */
export interface ModuleSizes {
  readonly hidden: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly mlp: number
}

interface ModuleOptions {
  readonly biased?: boolean
  /** The checkpoint's weight is `[in, out]`. */
  readonly transposed?: boolean
}

/** A module that is one linear layer, or several side by side in the order given. */
export function linearModule(
  path: string,
  kinds: readonly LinearKind[],
  sizes: ModuleSizes,
  { biased = false, transposed = false }: ModuleOptions = {},
): LinearModule {
  let outDim = 0
  const parts = kinds.map((kind) => {
    const [, run] = kindDims(kind, sizes)
    const first = outDim
    outDim += run
    return { kind, outputs: { first, run, stride: run, times: 1 } }
  })
  return { path, inDim: kindDims(kinds[0]!, sizes)[0], outDim, transposed, biased, parts }
}

/** Queries, keys and values of each head side by side, head after head (GPT-NeoX). */
export function interleavedModule(path: string, sizes: ModuleSizes, { biased = false }: ModuleOptions): LinearModule {
  const { hidden, heads, headDim } = sizes
  const kinds = ['q_proj', 'k_proj', 'v_proj'] as const
  const parts = kinds.map((kind, i) => {
    const outputs = { first: i * headDim, run: headDim, stride: 3 * headDim, times: heads }
    return { kind, outputs }
  })
  return { path, inDim: hidden, outDim: 3 * heads * headDim, transposed: false, biased, parts }
}

/** The seven modules of Llama-like layers. */
export function llamaModules(sizes: ModuleSizes, biased: (kind: LinearKind) => boolean = () => false): LinearModule[] {
  const module = (parent: string, kind: LinearKind): LinearModule =>
    linearModule(`model.layers.{i}.${parent}.${kind}`, [kind], sizes, { biased: biased(kind) })
  return [
    ...(['q_proj', 'k_proj', 'v_proj', 'o_proj'] as const).map((kind) => module('self_attn', kind)),
    ...(['gate_proj', 'up_proj', 'down_proj'] as const).map((kind) => module('mlp', kind)),
  ]
}

/** `[inDim, outDim]` of a linear layer. */
export function kindDims(kind: LinearKind, sizes: ModuleSizes): readonly [number, number] {
  const { hidden, heads, kvHeads, headDim, mlp } = sizes
  switch (kind) {
    case 'q_proj':
      return [hidden, heads * headDim]
    case 'k_proj':
    case 'v_proj':
      return [hidden, kvHeads * headDim]
    case 'o_proj':
      return [heads * headDim, hidden]
    case 'gate_proj':
    case 'up_proj':
      return [hidden, mlp]
    case 'down_proj':
      return [mlp, hidden]
  }
}
