import type { JsonObject } from '../../core/json.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { expectShape, readFinite } from '../values.ts'
import { parseFactored } from './factored.ts'
import type { ModuleScale } from './scales.ts'
import type { FactoredModule } from './factored.ts'
import type { ModuleTensors } from './tensors.ts'
import { requirePart } from './tensors.ts'

const PARTS = ['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b'] as const
type Part = (typeof PARTS)[number]

/**
 * Reads a LoHa (Hyeon-Woo et al. 2022): y = W x + scale · ((A₁ B₁) ∘ (A₂ B₂)) x. The elementwise product of two matrices of rank r has the
 * exact factors `up[o, (p, q)] = A₁[o, p] A₂[o, q]` and `down[(p, q), i] = B₁[p, i] B₂[q, i]` of rank r².
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parseLoha(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  return parseFactored(json, file, {
    method: 'loha',
    title: 'a LoHa',
    parts: PARTS,
    ignored: ['use_khatri_rao'],
    read: readModule,
  })
}

function readModule(module: ModuleTensors<Part>, { rank }: ModuleScale, file: SafetensorsFile): FactoredModule {
  const [a1, b1, a2, b2] = PARTS.map((part) => requirePart(module, part)) as [string, string, string, string]
  expectShape(file, a1, ['out', rank])
  expectShape(file, b1, [rank, 'in'])
  const outDim = file.entry(a1).shape[0]!
  const inDim = file.entry(b1).shape[1]!
  expectShape(file, a2, [outDim, rank])
  expectShape(file, b2, [rank, inDim])
  const parameters = 2 * rank * (inDim + outDim)
  const fill = (into: Float32Array): void => {
    const [first, second] = [readFinite(file, b1), readFinite(file, b2)]
    for (let p = 0; p < rank; p++) {
      for (let q = 0; q < rank; q++) {
        const row = (p * rank + q) * inDim
        for (let i = 0; i < inDim; i++) into[row + i] = first[p * inDim + i]! * second[q * inDim + i]!
      }
    }
  }
  return {
    rank: rank * rank,
    inDim,
    outDim,
    parameters,
    names: { down: b1, up: a1 },
    down: { count: rank * rank * inDim, fill },
    rows: () => outerProducts(readFinite(file, a1), readFinite(file, a2), outDim, rank),
  }
}

/** For every row of two matrices `[count, rank]`, all products of an element of one with an element of the other: `[count, rank²]`. */
function outerProducts(first: Float32Array, second: Float32Array, count: number, rank: number): Float32Array {
  const products = new Float32Array(count * rank * rank)
  let filled = 0
  for (let row = 0; row < count * rank; row += rank) {
    for (let p = 0; p < rank; p++) {
      for (let q = 0; q < rank; q++) products[filled++] = first[row + p]! * second[row + q]!
    }
  }
  return products
}
