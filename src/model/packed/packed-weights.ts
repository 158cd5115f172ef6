import { TroupeError } from '../../core/errors.ts'
import type { LinearModule } from '../../core/model-info.ts'
import type { Checkpoint } from '../checkpoint.ts'
import type { PackedMatrix } from './matrix.ts'
import type { MatrixSize, Packing } from './packing.ts'
import { readPacking } from './read-packing.ts'

/** The packed modules of a checkpoint. Not all of its linear layers need be packed. */
export class PackedWeights {
  readonly packing: Packing
  readonly #checkpoint: Checkpoint
  /** The last matrix read: the parts of a fused module follow each other. */
  #last: { readonly stem: string; readonly matrix: PackedMatrix } | null = null

  constructor(checkpoint: Checkpoint, packing: Packing) {
    this.#checkpoint = checkpoint
    this.packing = packing
  }

  has(stem: string): boolean {
    return this.#checkpoint.has(stem + this.packing.marker)
  }

  /** The tensors of a packed module with their shapes, those that may be missing only where they are there. */
  tensors(stem: string, size: MatrixSize): [name: string, shape: readonly number[]][] {
    const { packing } = this
    const sure = Object.entries(packing.tensors(size)).map(([end, shape]): [string, readonly number[]] => [
      stem + end,
      shape,
    ])
    const more = packing.optional.map((end) => stem + end).filter((name) => this.#checkpoint.has(name))
    return [...sure, ...more.map((name): [string, readonly number[]] => [name, [size.inDim]])]
  }

  /** Which input every column of a packed module multiplies; null = each its own. */
  inputs(stem: string, size: MatrixSize): Int32Array | null {
    return this.packing.inputs(this.#checkpoint, stem, size)
  }

  /** @throws TroupeError `invalid_model` naming a tensor whose values make no sense */
  matrix(stem: string, size: MatrixSize): PackedMatrix {
    if (this.#last?.stem !== stem) {
      const matrix = this.packing.read(this.#checkpoint, stem, size)
      if (!matrix.parts.scales.every(Number.isFinite)) throw notFinite(stem)
      this.#last = { stem, matrix }
    }
    return this.#last.matrix
  }
}

/** The packed modules that `config.json` announces; null when it announces none. */
export function packedWeights(checkpoint: Checkpoint, modules: readonly LinearModule[]): PackedWeights | null {
  const packing = readPacking(checkpoint.config)
  if (packing === null) return null
  if (modules.some(({ transposed }) => transposed)) {
    const text = `config.json: ${packing.method} is not supported for models that save weights as [in, out]; take the original weights`
    throw new TroupeError('invalid_model', text, { param: 'quantization_config' })
  }
  return new PackedWeights(checkpoint, packing)
}

function notFinite(stem: string): TroupeError {
  const text = `the scales of "${stem}" have values that are not finite`
  return new TroupeError('invalid_model', text, { param: stem })
}
