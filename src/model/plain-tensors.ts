import type { Architecture } from './architecture.ts'

/** A tensor that the preparation takes over as it is, save for an addend on every value. */
export interface PlainTensor {
  /** Name in the prepared model. */
  readonly name: string
  /** Name in the checkpoint. */
  readonly source: string
  readonly shape: readonly number[]
  /** Rows of the checkpoint's tensor before the first that is taken. */
  readonly skipRows: number
  readonly addend: number
}

/** Name of a tensor of one layer. */
export function layerTensor(pattern: string, layer: number): string {
  return pattern.replace('{i}', String(layer))
}

/** Everything of a checkpoint but the linear layers and the head, in the order in which it is prepared: first the model's, then each layer's. */
export function modelTensors(architecture: Architecture): PlainTensor[] {
  const { names, vocab, hidden, maxContext, positionOffset } = architecture
  const plain = { skipRows: 0, addend: 0 }
  const tensors: PlainTensor[] = [{ ...plain, name: 'embed', source: names.embed, shape: [vocab, hidden] }]
  if (names.positions !== undefined && positionOffset !== null) {
    const shape = [maxContext, hidden]
    tensors.push({ ...plain, name: 'positions', source: names.positions, shape, skipRows: positionOffset })
  }
  return [...tensors, ...normTensors(architecture, 'final_norm', names.finalNorm, hidden)]
}

/** The norms of one layer. */
export function layerTensors(architecture: Architecture, layer: number): PlainTensor[] {
  const { names, hidden, headDim } = architecture
  const norms: readonly (readonly [string, string | undefined, number])[] = [
    ['attn_norm', names.attnNorm, hidden],
    ['attn_post_norm', names.attnPostNorm, hidden],
    ['mlp_norm', names.mlpNorm, hidden],
    ['mlp_post_norm', names.mlpPostNorm, hidden],
    ['q_norm', names.qNorm, headDim],
    ['k_norm', names.kNorm, headDim],
  ]
  return norms.flatMap(([name, source, width]) =>
    source === undefined ? [] : normTensors(architecture, `layers.${layer}.${name}`, layerTensor(source, layer), width),
  )
}

function normTensors({ norm }: Architecture, name: string, source: string, width: number): PlainTensor[] {
  const shared = { shape: [width], skipRows: 0 }
  const weight = { ...shared, name, source, addend: norm.offset }
  if (norm.kind === 'rms') return [weight]
  return [weight, { ...shared, name: `${name}.bias`, source: source.replace(/weight$/, 'bias'), addend: 0 }]
}
