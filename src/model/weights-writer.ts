import type { Hash } from 'node:crypto'
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { TroupeError } from '../core/errors.ts'
import type { Architecture } from './architecture.ts'
import type { BlockFormat } from './block-format.ts'
import type { Checkpoint } from './checkpoint.ts'
import { kindDims } from './families/modules.ts'
import { toBfloat16 } from './float16.ts'
import { fusedBlocks } from './fused-blocks.ts'
import type { Layout } from './layout.ts'
import type { LinearPart } from './linear-rows.ts'
import { LinearRows } from './linear-rows.ts'
import type { PackedWeights } from './packed/packed-weights.ts'
import type { PlainTensor } from './plain-tensors.ts'
import { layerTensors, modelTensors } from './plain-tensors.ts'
import type { PreparedTensor } from './prepared.ts'
import type { GroupDigests, WeightsSource } from './prepared-cache.ts'
import type { PackedTiles } from './tile-packer.ts'
import { packMatrixRows, packRows } from './tile-packer.ts'
import { TILE, tileBytes } from './tiles.ts'

/** Elements of a checkpoint tensor held at a time: 16 MiB. */
const PIECE_ELEMENTS = 1 << 22

/** Writes the tensors of one checkpoint into an open `weights.bin`, each at its place in the layout. */
export class WeightsWriter implements WeightsSource {
  readonly #checkpoint: Checkpoint
  readonly #architecture: Architecture
  readonly #layout: Layout
  readonly #formatOf: (block: string) => BlockFormat
  /** Of the tensors of the group at hand, as far as they are written: pieces of a tensor come in order. */
  readonly #hashes = new Map<string, { readonly hash: Hash; end: number }>()
  #file: FileHandle | null = null
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
    onBytes: (bytes: number, what: string) => void,
  ) {
    this.#checkpoint = checkpoint
    this.#architecture = architecture
    this.#layout = layout
    this.#formatOf = formatOf
    this.#onBytes = onBytes
    const longestRow = Math.max(...architecture.modules.map(({ inDim }) => inDim))
    this.#scratch = new Float32Array(Math.max(PIECE_ELEMENTS, TILE * longestRow))
    this.#rows = new LinearRows(architecture, packed, (name, into, start) => this.#read(name, into, start))
  }

  /** The tensors that belong to no layer but the head's, then the layers, then the head. */
  get groups(): readonly string[] {
    return ['model', ...Array.from({ length: this.#architecture.layers }, (_, layer) => `layers.${layer}`), 'head']
  }

  async write(group: string, file: FileHandle): Promise<GroupDigests> {
    this.#file = file
    this.#hashes.clear()
    if (group === 'model') for (const tensor of modelTensors(this.#architecture)) await this.#copy(tensor)
    else if (group === 'head') await this.#head()
    else await this.#layer(Number(group.slice('layers.'.length)))
    return Object.fromEntries([...this.#hashes].map(([name, { hash }]) => [name, `sha256:${hash.digest('hex')}`]))
  }

  async #layer(layer: number): Promise<void> {
    for (const tensor of layerTensors(this.#architecture, layer)) await this.#copy(tensor)
    for (const [block, kinds] of Object.entries(fusedBlocks(this.#architecture))) {
      const parts = kinds.map((kind) => this.#rows.part(layer, kind))
      await this.#block(`layers.${layer}.${block}`, parts, kindDims(kinds[0]!, this.#architecture)[0])
    }
  }

  async #head(): Promise<void> {
    const { names, tiedHead, vocab, hidden, logitScale } = this.#architecture
    await this.#block(
      'head',
      [this.#rows.matrix(tiedHead ? names.embed : names.head, vocab, hidden, logitScale)],
      hidden,
    )
  }

  async #block(block: string, parts: readonly LinearPart[], inDim: number): Promise<void> {
    const { format, packed } = this.#formatOf(block)
    let tile = 0
    for (const part of parts) {
      for (let row = 0; row < part.outDim;) {
        const rows = Math.min(part.outDim - row, this.#rowsAtOnce(inDim))
        await this.#writeTiles(block, tile, inDim, this.#pack(format, part, row, rows, inDim, packed !== null))
        row += rows
        tile += Math.ceil(rows / TILE)
      }
    }
    if (packed !== null && packed.inputs !== null) await this.#write(`${block}.inputs`, packed.inputs, 0)
    if (!(`${block}.bias` in this.#layout.tensors)) return
    const bias = new Float32Array(parts.reduce((sum, part) => sum + part.outDim, 0))
    let start = 0
    for (const part of parts) {
      part.readBias(bias.subarray(start, start + part.outDim))
      start += part.outDim
    }
    await this.#write(`${block}.bias`, bias, 0)
  }

  /** Tiles of some rows of a part: rounded by us, or as the checkpoint has packed them. */
  #pack(
    format: BlockFormat['format'],
    part: LinearPart,
    row: number,
    rows: number,
    inDim: number,
    kept: boolean,
  ): PackedTiles {
    if (kept && (format === 'q4' || format === 'q8')) {
      const { matrix, runs } = part.packed()!
      return packMatrixRows(format, matrix, runs, row, rows)
    }
    const values = this.#scratch.subarray(0, rows * inDim)
    part.readRows(values, row)
    return packRows(format, values, inDim, null)
  }

  async #writeTiles(block: string, tile: number, inDim: number, { w, d, m }: PackedTiles): Promise<void> {
    const size = tileBytes(this.#formatOf(block).format, inDim)
    await this.#write(`${block}.w`, w, tile * size.weights)
    if (size.scales > 0) await this.#write(`${block}.d`, d, tile * size.scales)
    if (size.minima > 0) await this.#write(`${block}.m`, m, tile * size.minima)
  }

  /** Rows of a part that fit the scratch, in whole tiles. */
  #rowsAtOnce(inDim: number): number {
    return TILE * Math.max(1, Math.floor(PIECE_ELEMENTS / (TILE * inDim)))
  }

  async #copy({ name, source, shape, skipRows, addend }: PlainTensor): Promise<void> {
    const tensor = this.#layout.tensors[name]
    // Tokens are looked up in the head's tiles.
    if (tensor === undefined) return
    const count = shape.reduce((product, length) => product * length, 1)
    const skipped = skipRows * (shape[1] ?? 1)
    const size = tensor.format === 'bf16' ? 2 : 4
    for (let done = 0; done < count; done += PIECE_ELEMENTS) {
      const piece = this.#scratch.subarray(0, Math.min(PIECE_ELEMENTS, count - done))
      this.#read(source, piece, skipped + done)
      if (addend !== 0) for (let i = 0; i < piece.length; i++) piece[i]! += addend
      await this.#write(name, size === 2 ? Uint16Array.from(piece, toBfloat16) : piece, done * size)
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

  /** @param start byte of the tensor, where its last piece ended */
  async #write(
    name: string,
    values: Float32Array | Int32Array | Uint8Array | Uint16Array,
    start: number,
  ): Promise<void> {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    const written = this.#hashes.get(name) ?? { hash: createHash('sha256'), end: 0 }
    if (written.end !== start)
      throw new Error(`a piece of ${name} begins at ${start}, the last one ended at ${written.end}`)
    written.hash.update(bytes)
    written.end += bytes.length
    this.#hashes.set(name, written)
    const position = this.#tensor(name).offset + start
    for (let done = 0; done < bytes.length;) {
      const most = Math.min(1 << 28, bytes.length - done)
      const { bytesWritten } = await this.#file!.write(bytes, done, most, position + done)
      done += bytesWritten
    }
    this.#onBytes(bytes.length, name)
    await nextTurn()
  }
}
