import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { expectShape, readFinite } from '../values.ts'
import type { FactoredModule } from './factored.ts'
import { parseFactored } from './factored.ts'
import type { ModuleScale } from './scales.ts'
import type { ModuleTensors } from './tensors.ts'
import { requirePart } from './tensors.ts'

const PARTS = ['lokr_w1', 'lokr_w1_a', 'lokr_w1_b', 'lokr_w2', 'lokr_w2_a', 'lokr_w2_b'] as const
type Part = (typeof PARTS)[number]

/** A small matrix `[rows, columns]` as left · right, `[rows, rank]` and `[rank, columns]`. */
interface Factor {
  readonly rows: number
  readonly columns: number
  readonly rank: number
  readonly parameters: number
  readonly name: string
  readonly left: () => Float32Array
  readonly right: () => Float32Array
}

/**
 * Reads a LoKr (Yeh et al. 2024): y = W x + scale · (W₁ ⊗ W₂) x, each of W₁ and W₂ whole or as a product. As
 * (U₁ V₁) ⊗ (U₂ V₂) = (U₁ ⊗ U₂) (V₁ ⊗ V₂), the Kronecker products of the factors are exact factors of the whole; a matrix that is not a
 * product is one with an identity.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parseLokr(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  const ignored = ['decompose_both', 'decompose_factor', 'rank_dropout_scale']
  const method = { method: 'lokr', title: 'a LoKr', parts: PARTS, ignored, read: readModule, warnings } as const
  return parseFactored(json, file, method)
}

/** PEFT up to 0.13 trained without the scale that later versions load the same file with. They wrote no `exclude_modules`. */
function warnings(json: JsonObject, { scale }: ModuleScale): readonly string[] {
  if (scale === 1 || 'exclude_modules' in json || 'peft_version' in json) return []
  const text =
    'adapter_config.json was written by PEFT 0.13 or older, which trained a LoKr without its scale alpha / r; it is served as current versions of PEFT ' +
    `load it, with the scale ${scale}. To get what was trained, set "alpha" to the value of "r"`
  return [text]
}

function readModule(module: ModuleTensors<Part>, { rank }: ModuleScale, file: SafetensorsFile): FactoredModule {
  const first = readFactor(module, 'lokr_w1', rank, file)
  const second = readFactor(module, 'lokr_w2', rank, file)
  const inDim = first.columns * second.columns
  return {
    rank: first.rank * second.rank,
    inDim,
    outDim: first.rows * second.rows,
    parameters: first.parameters + second.parameters,
    names: { down: first.name, up: second.name },
    down: {
      count: first.rank * second.rank * inDim,
      fill: (into) =>
        into.set(kronecker(first.right(), [first.rank, first.columns], second.right(), [second.rank, second.columns])),
    },
    rows: () => kronecker(first.left(), [first.rows, first.rank], second.left(), [second.rows, second.rank]),
  }
}

function readFactor(
  module: ModuleTensors<Part>,
  stem: 'lokr_w1' | 'lokr_w2',
  rank: number,
  file: SafetensorsFile,
): Factor {
  const whole = module.parts[stem]
  if (whole !== undefined) {
    const product = module.parts[`${stem}_a`] ?? module.parts[`${stem}_b`]
    if (product !== undefined) {
      const text = `tensors "${whole}" and "${product}" are for the same place`
      throw new TroupeError('invalid_adapter', text, { param: product })
    }
    expectShape(file, whole, ['out', 'in'])
    const [rows, columns] = file.entry(whole).shape as [number, number]
    const parameters = rows * columns
    const own = (): Float32Array => readFinite(file, whole)
    return rows <= columns
      ? { rows, columns, rank: rows, parameters, name: whole, left: () => identity(rows), right: own }
      : { rows, columns, rank: columns, parameters, name: whole, left: own, right: () => identity(columns) }
  }
  const [a, b] = [requirePart(module, `${stem}_a`), requirePart(module, `${stem}_b`)]
  expectShape(file, a, ['out', rank])
  expectShape(file, b, [rank, 'in'])
  const rows = file.entry(a).shape[0]!
  const columns = file.entry(b).shape[1]!
  const parameters = rank * (rows + columns)
  return { rows, columns, rank, parameters, name: a, left: () => readFinite(file, a), right: () => readFinite(file, b) }
}

/** The Kronecker product of two matrices: `[rows₁ · rows₂, columns₁ · columns₂]`. */
function kronecker(
  first: Float32Array,
  [rows1, columns1]: readonly [number, number],
  second: Float32Array,
  [rows2, columns2]: readonly [number, number],
): Float32Array {
  const product = new Float32Array(rows1 * rows2 * columns1 * columns2)
  let filled = 0
  for (let i1 = 0; i1 < rows1; i1++) {
    for (let i2 = 0; i2 < rows2; i2++) {
      for (let j1 = 0; j1 < columns1; j1++) {
        const factor = first[i1 * columns1 + j1]!
        for (let j2 = 0; j2 < columns2; j2++) product[filled++] = factor * second[i2 * columns2 + j2]!
      }
    }
  }
  return product
}

function identity(size: number): Float32Array {
  const matrix = new Float32Array(size * size)
  for (let i = 0; i < size; i++) matrix[i * size + i] = 1
  return matrix
}
