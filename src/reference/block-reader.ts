import { dequantise } from './dequantise.ts'
import type { PreparedTensors } from './prepared-tensors.ts'

const STEP_BITS = [4, 8] as const

/** Outputs of a block: `count` of `outDim`, from `first` on. */
export interface BlockPart {
  readonly block: string
  readonly inDim: number
  readonly outDim: number
  readonly first: number
  readonly count: number
}

/** Reads weights of linear blocks as f32, whatever they were prepared to. Nothing here is shared with the engine's kernels. */
export class BlockReader {
  readonly #tensors: PreparedTensors
  /** Reused from layer to layer. */
  readonly #buffers = new Map<string, Float32Array>()

  constructor(tensors: PreparedTensors) {
    this.#tensors = tensors
  }

  /**
   * `[count, inDim]`, or `[inDim, count]` where the prepared model has the weight transposed, turned where it has it so; valid until the next
   * read of this kind of block.
   */
  weight(part: BlockPart, role: string): Float32Array {
    const into = this.#buffer(role, part.inDim * part.count)
    if (this.#tensors.has(`${part.block}.weight`)) this.#columns(`${part.block}.weight`, part, into)
    else if (this.#tensors.has(`${part.block}.h8`)) this.#scaledColumns(part, into)
    else this.#dequantise(part, into)
    return into
  }

  /** `[count]`; zeros where the block has none. */
  bias({ block, first, count }: BlockPart): Float32Array {
    const values = new Float32Array(count)
    if (this.#tensors.has(`${block}.bias`)) this.#tensors.read(`${block}.bias`, values, first)
    return values
  }

  /** Some columns of a tensor `[inDim, outDim]`. */
  #columns(name: string, { inDim, outDim, first, count }: BlockPart, into: Float32Array | Int8Array): void {
    if (count === outDim) this.#tensors.read(name, into)
    else
      for (let row = 0; row < inDim; row++)
        this.#tensors.read(name, into.subarray(row * count, (row + 1) * count), row * outDim + first)
  }

  #scaledColumns(part: BlockPart, into: Float32Array): void {
    const { block, first, count } = part
    const steps = new Int8Array(into.length)
    this.#columns(`${block}.h8`, part, steps)
    const scales = new Float32Array(count)
    this.#tensors.read(`${block}.scales`, scales, first)
    for (let start = 0; start < into.length; start += count)
      for (let i = 0; i < count; i++) into[start + i] = steps[start + i]! * scales[i]!
  }

  #dequantise({ block, inDim, first, count }: BlockPart, into: Float32Array): void {
    const tensors = this.#tensors
    const bits = STEP_BITS.find((number) => tensors.has(`${block}.q${number}`))
    if (bits === undefined) throw new Error(`the prepared model lacks the weight of ${block}`)
    const [, blocks, bytes] = tensors.shapeOf(`${block}.q${bits}`)
    const steps = new Uint8Array(count * blocks! * bytes!)
    tensors.read(`${block}.q${bits}`, steps, first * blocks! * bytes!)
    const scales = new Float32Array(count * blocks!)
    tensors.read(`${block}.scales`, scales, first * blocks!)
    let zeros: Uint8Array | null = null
    if (tensors.has(`${block}.zeros`)) {
      const width = tensors.shapeOf(`${block}.zeros`)[1]!
      zeros = new Uint8Array(count * width)
      tensors.read(`${block}.zeros`, zeros, first * width)
    }
    let inputs: BigInt64Array | null = null
    if (tensors.has(`${block}.inputs`)) tensors.read(`${block}.inputs`, (inputs = new BigInt64Array(inDim)))
    dequantise({ bits, size: (bytes! * 8) / bits, inDim, steps, scales, zeros, inputs }, count, into)
  }

  #buffer(role: string, length: number): Float32Array {
    let buffer = this.#buffers.get(role)
    if (buffer === undefined || buffer.length < length) this.#buffers.set(role, (buffer = new Float32Array(length)))
    return buffer.subarray(0, length)
  }
}
