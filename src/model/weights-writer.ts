import type { Hash } from 'node:crypto'
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { TroupeError } from '../core/errors.ts'
import type { Architecture } from './architecture.ts'
import type { BlockFormat } from './block-format.ts'
import type { Importances } from './calibration.ts'
import { Calibration } from './calibration.ts'
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

type Place = Parameters<WeightsSource['write']>[1]

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
  readonly #calibration: Calibration

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
    const { names, hidden } = architecture
    this.#calibration = new Calibration(architecture, (token, into) => this.#read(names.embed, into, token * hidden))
  }

  /** The tensors that belong to no layer but the head's, then the layers, then the head. */
  get groups(): readonly string[] {
    return ['model', ...Array.from({ length: this.#architecture.layers }, (_, layer) => `layers.${layer}`), 'head']
  }

  async write(group: string, { file, folder }: Place): Promise<GroupDigests> {
    this.#file = file
    this.#hashes.clear()
    if (group === 'model') for (const tensor of modelTensors(this.#architecture)) await this.#copy(tensor)
    else if (group === 'head') await this.#head()
    else await this.#layer(Number(group.slice('layers.'.length)), folder)
    return Object.fromEntries([...this.#hashes].map(([name, { hash }]) => [name, `sha256:${hash.digest('hex')}`]))
  }

  async close(): Promise<void> {
    await this.#calibration.close()
  }

  async #layer(layer: number, folder: string): Promise<void> {
    for (const tensor of layerTensors(this.#architecture, layer)) await this.#copy(tensor)
    const blocks = Object.entries(fusedBlocks(this.#architecture)).map(([name, kinds]) => {
      const parts = kinds.map((kind) => this.#rows.part(layer, kind))
      return { name, block: `layers.${layer}.${name}`, inDim: kindDims(kinds[0]!, this.#architecture)[0], parts }
    })
    const rounds = blocks.some(({ block }) => isRounded(this.#formatOf(block)))
    const importances = rounds ? await this.#calibrate(layer, blocks, folder) : {}
    for (const { name, block, inDim, parts } of blocks)
      await this.#block(block, parts, inDim, importances[name] ?? null)
  }

  async #head(): Promise<void> {
    const { names, tiedHead, vocab, hidden, logitScale } = this.#architecture
    const head = this.#rows.matrix(tiedHead ? names.embed : names.head, vocab, hidden, logitScale)
    await this.#block('head', [head], hidden, null)
  }

  async #calibrate(
    layer: number,
    blocks: readonly { readonly name: string; readonly inDim: number; readonly parts: readonly LinearPart[] }[],
    folder: string,
  ): Promise<Importances> {
    const plain = blocks.map(({ name, inDim, parts }) => {
      const rows = new Float32Array(inDim * outputsOf(parts))
      let start = 0
      for (const part of parts) {
        part.readRows(rows.subarray(start * inDim, (start + part.outDim) * inDim), 0)
        start += part.outDim
      }
      const bias = `layers.${layer}.${name}.bias` in this.#layout.tensors ? readBias(parts) : null
      return [name, { rows, bias }] as const
    })
    const norms = layerTensors(this.#architecture, layer).map((tensor) => {
      const { source, skipRows, shape, addend } = tensor
      const values = new Float32Array(shape[0]!)
      this.#read(source, values, skipRows)
      return [tensor.name.replace(/^layers\.\d+\./, ''), values.map((value) => value + addend)] as const
    })
    const layerWeights = { blocks: Object.fromEntries(plain), norms: Object.fromEntries(norms) }
    return this.#calibration.layer(layer, layerWeights, folder, layer === 0 ? this.#learnedPositions() : null)
  }

  #learnedPositions(): Float32Array | null {
    const table = modelTensors(this.#architecture).find(({ name }) => name === 'positions')
    if (table === undefined) return null
    const [rows, width] = table.shape as readonly [number, number]
    const values = new Float32Array(rows * width)
    this.#read(table.source, values, table.skipRows * width)
    return values
  }

  async #block(
    block: string,
    parts: readonly LinearPart[],
    inDim: number,
    importance: Float32Array | null,
  ): Promise<void> {
    const format = this.#formatOf(block)
    let tile = 0
    for (const part of parts) {
      for (let row = 0; row < part.outDim;) {
        const rows = Math.min(part.outDim - row, this.#rowsAtOnce(inDim))
        await this.#writeTiles(block, tile, inDim, await this.#pack(format, part, row, rows, inDim, importance))
        row += rows
        tile += Math.ceil(rows / TILE)
      }
    }
    const inputs = format.packed?.inputs ?? null
    if (inputs !== null) await this.#write(`${block}.inputs`, inputs, 0)
    if (`${block}.bias` in this.#layout.tensors) await this.#write(`${block}.bias`, readBias(parts), 0)
  }

  /** Tiles of some rows of a part: rounded by us, or as the checkpoint has packed them. */
  async #pack(
    { format, packed }: BlockFormat,
    part: LinearPart,
    row: number,
    rows: number,
    inDim: number,
    importance: Float32Array | null,
  ): Promise<PackedTiles> {
    if (packed !== null && (format === 'q4' || format === 'q8')) {
      const { matrix, runs } = part.packed()!
      return packMatrixRows(format, matrix, runs, row, rows)
    }
    const values = this.#scratch.subarray(0, rows * inDim)
    part.readRows(values, row)
    return packRows(format, values, inDim, importance)
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

/** Whether a block is rounded by us so coarsely that it matters which inputs are used. */
function isRounded({ format, packed }: BlockFormat): boolean {
  return format === 'q4' && packed === null
}

function outputsOf(parts: readonly LinearPart[]): number {
  return parts.reduce((sum, part) => sum + part.outDim, 0)
}

/** Of all parts, zeros where one has none. */
function readBias(parts: readonly LinearPart[]): Float32Array {
  const bias = new Float32Array(outputsOf(parts))
  let start = 0
  for (const part of parts) {
    part.readBias(bias.subarray(start, start + part.outDim))
    start += part.outDim
  }
  return bias
}
