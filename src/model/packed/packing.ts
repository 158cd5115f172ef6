import type { LinearModule } from '../../core/model-info.ts'
import type { StepBits } from './matrix.ts'
import type { PackedMatrix } from './matrix.ts'

/** Access to the tensors of a checkpoint, as far as packed formats need it. */
export interface TensorSource {
  has(name: string): boolean
  readF32(name: string): Float32Array
  /** Whole tensor of 32-bit integers; refuses other dtypes. */
  readI32(name: string): Int32Array
}

export type MatrixSize = Pick<LinearModule, 'inDim' | 'outDim'>

/** How a checkpoint packs its linear layers: one file per format. */
export interface Packing {
  /** For messages: `gptq`. */
  readonly method: string
  readonly bits: StepBits
  /** Inputs that share a scale; null = all. */
  readonly groupSize: number | null
  /** Whether groups have zero points other than the middle. */
  readonly zeros: boolean
  /** Name of the tensor that tells a packed module from a plain one, after its path: `.qweight`. */
  readonly marker: string
  /** The tensors of a packed module with their shapes, by what follows its path. */
  tensors(size: MatrixSize): Readonly<Record<string, readonly number[]>>
  /** Tensors that may be there beside those. */
  readonly optional: readonly string[]
  /** Which input every column multiplies, where the checkpoint reorders inputs; read before the weights. */
  inputs(source: TensorSource, stem: string, size: MatrixSize): Int32Array | null
  read(source: TensorSource, stem: string, size: MatrixSize): PackedMatrix
}

/** Inputs of a group in a matrix of this width. */
export function groupSizeOf({ groupSize }: Pick<Packing, 'groupSize'>, inDim: number): number {
  return groupSize ?? inDim
}
