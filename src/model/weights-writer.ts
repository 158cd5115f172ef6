import type { FileHandle } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { LinearKind } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { Architecture } from './architecture.ts'
import type { Checkpoint } from './checkpoint.ts'
import { layerTensor } from './coverage.ts'
import type { Layout } from './layout.ts'
import { FUSED_BLOCKS, QUANT_BLOCK, linearDims } from './layout.ts'
import type { PreparedTensor } from './prepared.ts'
import { quantizeRows } from './quantize.ts'
import { transposeInto } from '../core/transpose.ts'

/** Elements of a checkpoint tensor held at a time: 16 MiB. */
const PIECE_ELEMENTS = 1 << 22

/** One linear layer of a fused block. */
interface Part {
  readonly weight: string
  readonly bias: string | null
  readonly outDim: number
}

/** Writes the tensors of one checkpoint into an open `weights.bin`, each at its place in the layout. */
export class WeightsWriter {
  readonly #checkpoint: Checkpoint
  readonly #architecture: Architecture
  readonly #layout: Layout
  readonly #file: FileHandle
  readonly #onBytes: (bytes: number, what: string) => void
  readonly #scratch: Float32Array

  /** @param onBytes called after each piece with the bytes written and the prepared tensor's name */
  constructor(
    checkpoint: Checkpoint,
    architecture: Architecture,
    layout: Layout,
    file: FileHandle,
    onBytes: (bytes: number, what: string) => void,
  ) {
    this.#checkpoint = checkpoint
    this.#architecture = architecture
    this.#layout = layout
    this.#file = file
    this.#onBytes = onBytes
    const longestRow = Math.max(...Object.values(linearDims(architecture)).map(([inDim]) => inDim))
    this.#scratch = new Float32Array(Math.max(PIECE_ELEMENTS, longestRow))
  }

  async writeAll(): Promise<void> {
    const { layers, names, tiedHead, vocab, hidden, biases } = this.#architecture
    const dims = linearDims(this.#architecture)
    await this.#copy(names.embed, 'embed')
    await this.#copy(names.finalNorm, 'final_norm')
    await this.#rope('rope.cos', Math.cos)
    await this.#rope('rope.sin', Math.sin)
    for (let layer = 0; layer < layers; layer++) {
      const prefix = `layers.${layer}`
      await this.#copy(layerTensor(names.attnNorm, layer), `${prefix}.attn_norm`)
      await this.#copy(layerTensor(names.mlpNorm, layer), `${prefix}.mlp_norm`)
      if (names.qNorm !== undefined) await this.#copy(layerTensor(names.qNorm, layer), `${prefix}.q_norm`)
      if (names.kNorm !== undefined) await this.#copy(layerTensor(names.kNorm, layer), `${prefix}.k_norm`)
      for (const [block, kinds] of Object.entries(FUSED_BLOCKS)) {
        const parts = kinds.map((kind: LinearKind): Part => {
          const stem = layerTensor(names.linear[kind], layer)
          const bias = biases.includes(kind) ? `${stem}.bias` : null
          return { weight: `${stem}.weight`, bias, outDim: dims[kind][1] }
        })
        await this.#block(`${prefix}.${block}`, parts, dims[kinds[0]!][0])
      }
    }
    const head = tiedHead ? names.embed : names.head
    await this.#block('head', [{ weight: head, bias: null, outDim: vocab }], hidden)
  }

  async #block(block: string, parts: readonly Part[], inDim: number): Promise<void> {
    if (`${block}.weight` in this.#layout.tensors) await this.#transposed(`${block}.weight`, parts, inDim)
    else await this.#quantized(block, parts, inDim)
    if (!(`${block}.bias` in this.#layout.tensors)) return
    const bias = new Float32Array(parts.reduce((sum, part) => sum + part.outDim, 0))
    let start = 0
    for (const part of parts) {
      if (part.bias !== null) this.#read(part.bias, bias.subarray(start, start + part.outDim), 0)
      start += part.outDim
    }
    await this.#write(`${block}.bias`, bias, 0)
  }

  async #transposed(target: string, parts: readonly Part[], inDim: number): Promise<void> {
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

  async #quantized(block: string, parts: readonly Part[], inDim: number): Promise<void> {
    const groups = Math.ceil(inDim / QUANT_BLOCK)
    let row = 0
    for (const part of parts) {
      for (const { rows, values } of this.#rowPieces(part, inDim)) {
        const q4 = new Uint8Array((rows * groups * QUANT_BLOCK) / 2)
        const scales = new Float32Array(rows * groups)
        quantizeRows(values, rows, inDim, q4, scales)
        await this.#write(`${block}.q4`, q4, (row * groups * QUANT_BLOCK) / 2)
        await this.#write(`${block}.scales`, scales, row * groups * 4)
        row += rows
      }
    }
  }

  /** Rows of a weight `[outDim, inDim]`, as many at a time as fit the scratch. */
  *#rowPieces(part: Part, inDim: number): Generator<{ rows: number; values: Float32Array }> {
    const most = Math.max(1, Math.floor(PIECE_ELEMENTS / inDim))
    for (let row = 0; row < part.outDim; row += most) {
      const rows = Math.min(most, part.outDim - row)
      const values = this.#scratch.subarray(0, rows * inDim)
      this.#read(part.weight, values, row * inDim)
      yield { rows, values }
    }
  }

  async #copy(source: string, target: string): Promise<void> {
    const count = this.#tensor(target).bytes / 4
    for (let done = 0; done < count; done += PIECE_ELEMENTS) {
      const piece = this.#scratch.subarray(0, Math.min(PIECE_ELEMENTS, count - done))
      this.#read(source, piece, done)
      await this.#write(target, piece, done * 4)
    }
  }

  async #rope(target: string, wave: (angle: number) => number): Promise<void> {
    const { inverseFrequencies, attentionFactor } = this.#architecture.rope
    const width = inverseFrequencies.length
    const table = new Float32Array(this.#architecture.maxContext * width)
    for (let i = 0; i < table.length; i++) {
      table[i] = wave(Math.floor(i / width) * inverseFrequencies[i % width]!) * attentionFactor
    }
    await this.#write(target, table, 0)
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

  async #write(name: string, values: Float32Array | Uint8Array, start: number): Promise<void> {
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
