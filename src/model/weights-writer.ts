import type { FileHandle } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { TroupeError } from '../core/errors.ts'
import type { Architecture, Rope } from './architecture.ts'
import type { Checkpoint } from './checkpoint.ts'
import { kindDims } from './families/modules.ts'
import type { BlockFormat } from './block-format.ts'
import { hadamardTensor, stepsTensor } from './block-format.ts'
import { fusedBlocks } from './fused-blocks.ts'
import type { Layout } from './layout.ts'
import { ropeTensor } from './layout.ts'
import type { PlainTensor } from './plain-tensors.ts'
import { layerTensors, modelTensors } from './plain-tensors.ts'
import type { LinearPart } from './linear-rows.ts'
import { LinearRows } from './linear-rows.ts'
import type { PreparedTensor } from './prepared.ts'
import type { PackedWeights } from './packed/packed-weights.ts'
import { QUANT_BITS, QUANT_BLOCK, quantizeRows } from './quantize.ts'
import { roundHadamard } from './hadamard-rows.ts'
import { transposeInto } from '../core/transpose.ts'

/** Elements of a checkpoint tensor held at a time: 16 MiB. */
const PIECE_ELEMENTS = 1 << 22

type PackedFormat = Extract<BlockFormat, { kind: 'packed' }>

/** Writes the tensors of one checkpoint into an open `weights.bin`, each at its place in the layout. */
export class WeightsWriter {
  readonly #checkpoint: Checkpoint
  readonly #architecture: Architecture
  readonly #layout: Layout
  readonly #formatOf: (block: string) => BlockFormat
  readonly #file: FileHandle
  readonly #onBytes: (bytes: number, what: string) => void
  readonly #scratch: Float32Array
  readonly #rows: LinearRows

  /** @param onBytes called after each piece with the bytes written and the prepared tensor's name */
  constructor(
    checkpoint: Checkpoint,
    architecture: Architecture,
    packed: PackedWeights | null,
    layout: Layout,
    formatOf: (block: string) => BlockFormat,
    file: FileHandle,
    onBytes: (bytes: number, what: string) => void,
  ) {
    this.#checkpoint = checkpoint
    this.#architecture = architecture
    this.#layout = layout
    this.#formatOf = formatOf
    this.#file = file
    this.#onBytes = onBytes
    const longestRow = Math.max(...architecture.modules.map(({ inDim }) => inDim))
    this.#scratch = new Float32Array(Math.max(PIECE_ELEMENTS, longestRow))
    this.#rows = new LinearRows(architecture, packed, (name, into, start) => this.#read(name, into, start))
  }

  async writeAll(): Promise<void> {
    const { layers, names, tiedHead, vocab, hidden, ropes, longRope, logitScale } = this.#architecture
    for (const tensor of modelTensors(this.#architecture)) await this.#copy(tensor)
    for (const [index, rope] of ropes.entries()) {
      await this.#rope(index, longRope === null ? [rope] : [rope, longRope.rope])
    }
    for (let layer = 0; layer < layers; layer++) {
      for (const tensor of layerTensors(this.#architecture, layer)) await this.#copy(tensor)
      for (const [block, kinds] of Object.entries(fusedBlocks(this.#architecture))) {
        const parts = kinds.map((kind) => this.#rows.part(layer, kind))
        await this.#block(`layers.${layer}.${block}`, parts, kindDims(kinds[0]!, this.#architecture)[0])
      }
    }
    const head = this.#rows.matrix(tiedHead ? names.embed : names.head, vocab, hidden, logitScale)
    await this.#block('head', [head], hidden)
  }

  async #block(block: string, parts: readonly LinearPart[], inDim: number): Promise<void> {
    const format = this.#formatOf(block)
    if (format.kind === 'f32') await this.#transposed(`${block}.weight`, parts, inDim)
    else if (format.kind === 'rounded') await this.#rounded(block, parts, inDim)
    else if (format.kind === 'hadamard') await this.#hadamard(block, parts, inDim)
    else await this.#packed(block, format, parts, inDim)
    if (!(`${block}.bias` in this.#layout.tensors)) return
    const bias = new Float32Array(parts.reduce((sum, part) => sum + part.outDim, 0))
    let start = 0
    for (const part of parts) {
      part.readBias(bias.subarray(start, start + part.outDim))
      start += part.outDim
    }
    await this.#write(`${block}.bias`, bias, 0)
  }

  async #transposed(target: string, parts: readonly LinearPart[], inDim: number): Promise<void> {
    const stride = parts.reduce((sum, part) => sum + part.outDim, 0)
    const whole = new Float32Array(inDim * stride)
    let column = 0
    for (const part of parts) {
      for (const { rows, values } of this.#rowPieces(part, inDim)) {
        transposeInto(values, rows, inDim, whole, stride, column)
        column += rows
        await nextTurn()
      }
    }
    await this.#write(target, whole, 0)
  }

  async #rounded(block: string, parts: readonly LinearPart[], inDim: number): Promise<void> {
    const groups = Math.ceil(inDim / QUANT_BLOCK)
    const rowBytes = (groups * QUANT_BLOCK * QUANT_BITS) / 8
    let row = 0
    for (const part of parts) {
      for (const { rows, values } of this.#rowPieces(part, inDim)) {
        const steps = new Uint8Array(rows * rowBytes)
        const scales = new Float32Array(rows * groups)
        quantizeRows(values, rows, inDim, steps, scales)
        await this.#write(stepsTensor(block, QUANT_BITS), steps, row * rowBytes)
        await this.#write(`${block}.scales`, scales, row * groups * 4)
        row += rows
      }
    }
  }

  async #hadamard(block: string, parts: readonly LinearPart[], inDim: number): Promise<void> {
    const stride = parts.reduce((sum, part) => sum + part.outDim, 0)
    const whole = new Int8Array(inDim * stride)
    const scales = new Float32Array(stride)
    let column = 0
    for (const part of parts) {
      for (const { rows, values } of this.#rowPieces(part, inDim)) {
        const steps = roundHadamard(values, inDim, scales.subarray(column, column + rows))
        transposeInto(steps, rows, inDim, whole, stride, column)
        column += rows
        await nextTurn()
      }
    }
    await this.#write(hadamardTensor(block), whole, 0)
    await this.#write(`${block}.scales`, scales, 0)
  }

  /** Takes blocks over as the checkpoint has them. */
  async #packed(block: string, format: PackedFormat, parts: readonly LinearPart[], inDim: number): Promise<void> {
    const { bits, size, zeros, inputs } = format
    const most = Math.max(1, Math.floor(PIECE_ELEMENTS / inDim))
    let [stepBytes, scaleBytes, zeroBytes] = [0, 0, 0]
    for (const part of parts) {
      const { matrix, runs } = part.packed()!
      for (const [first, count] of runs) {
        for (let row = first; row < first + count; row += most) {
          const piece = matrix.pack(row, Math.min(most, first + count - row), size)
          await this.#write(stepsTensor(block, bits), piece.steps, stepBytes)
          await this.#write(`${block}.scales`, piece.scales, scaleBytes)
          if (zeros) await this.#write(`${block}.zeros`, piece.zeros, zeroBytes)
          stepBytes += piece.steps.byteLength
          scaleBytes += piece.scales.byteLength
          zeroBytes += piece.zeros.byteLength
        }
      }
    }
    if (inputs !== null) await this.#write(`${block}.inputs`, BigInt64Array.from(inputs, BigInt), 0)
  }

  /** Rows of a weight `[outDim, inDim]`, as many at a time as fit the scratch. */
  *#rowPieces(part: LinearPart, inDim: number): Generator<{ rows: number; values: Float32Array }> {
    const most = Math.max(1, Math.floor(PIECE_ELEMENTS / inDim))
    for (let row = 0; row < part.outDim; row += most) {
      const rows = Math.min(most, part.outDim - row)
      const values = this.#scratch.subarray(0, rows * inDim)
      part.readRows(values, row)
      yield { rows, values }
    }
  }

  async #copy({ name, source, shape, skipRows, factor, addend }: PlainTensor): Promise<void> {
    const count = this.#tensor(name).bytes / 4
    const skipped = skipRows * (shape[1] ?? 1)
    for (let done = 0; done < count; done += PIECE_ELEMENTS) {
      const piece = this.#scratch.subarray(0, Math.min(PIECE_ELEMENTS, count - done))
      this.#read(source, piece, skipped + done)
      if (factor !== 1 || addend !== 0) for (let i = 0; i < piece.length; i++) piece[i] = piece[i]! * factor + addend
      await this.#write(name, piece, done * 4)
    }
  }

  /** The tables of one rotation, those of `ropes` one below the other. */
  async #rope(index: number, ropes: readonly Rope[]): Promise<void> {
    const { maxContext } = this.#architecture
    for (const [part, wave] of [['cos', Math.cos] as const, ['sin', Math.sin] as const]) {
      for (const [block, { inverseFrequencies, attentionFactor }] of ropes.entries()) {
        const width = inverseFrequencies.length
        const table = new Float32Array(maxContext * width)
        for (let i = 0; i < table.length; i++) {
          table[i] = wave(Math.floor(i / width) * inverseFrequencies[i % width]!) * attentionFactor
        }
        await this.#write(ropeTensor(index, part), table, block * table.byteLength)
      }
    }
  }

  #read(name: string, into: Float32Array, start: number): void {
    this.#checkpoint.readF32(name, into, start)
    let probe = 0
    // 0 · x is NaN for NaN and the infinities, and 0 for everything else.
    for (let i = 0; i < into.length; i++) probe += into[i]! * 0
    if (probe === 0) return
    throw new TroupeError('invalid_model', `${this.#checkpoint.dir}: tensor "${name}" has values that are not finite`, {
      param: name,
    })
  }

  #tensor(name: string): PreparedTensor {
    const tensor = this.#layout.tensors[name]
    if (tensor === undefined) throw new Error(`the layout has no tensor ${name}`)
    return tensor
  }

  async #write(
    name: string,
    values: Float32Array | Int8Array | Uint8Array | BigInt64Array,
    start: number,
  ): Promise<void> {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    const position = this.#tensor(name).offset + start
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#file.write(
        bytes,
        done,
        Math.min(1 << 28, bytes.length - done),
        position + done,
      )
      done += bytesWritten
    }
    this.#onBytes(bytes.length, name)
    await nextTurn()
  }
}
