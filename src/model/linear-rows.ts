import type { WeightRows } from '../core/base-weights.ts'
import type { LinearKind } from '../core/branch.ts'
import type { LinearModule, OutputRange } from '../core/model-info.ts'
import { outputRuns } from '../core/model-info.ts'
import { transposeInto } from '../core/transpose.ts'
import type { Architecture } from './architecture.ts'
import type { PackedMatrix } from './packed/matrix.ts'
import type { PackedWeights } from './packed/packed-weights.ts'
import { layerTensor } from './plain-tensors.ts'

/** One linear layer of the checkpoint, whatever module holds it. */
export interface LinearPart extends WeightRows {
  /** The packed matrix that holds the layer and the runs of its rows, in order; null where the checkpoint has plain weights. */
  packed(): { readonly matrix: PackedMatrix; readonly runs: readonly (readonly [number, number])[] } | null
}

type Read = (name: string, into: Float32Array, start: number) => void

/** Finds linear layers in fused, interleaved and transposed modules of a checkpoint. */
export class LinearRows {
  readonly #architecture: Architecture
  readonly #packed: PackedWeights | null
  readonly #read: Read
  /** The last transposed module, as rows: its parts follow each other. */
  #turned: { readonly name: string; readonly rows: Float32Array } | null = null

  /** @param read fills an array with elements of a checkpoint tensor, from element `start` on */
  constructor(architecture: Architecture, packed: PackedWeights | null, read: Read) {
    this.#architecture = architecture
    this.#packed = packed
    this.#read = read
  }

  part(layer: number, kind: LinearKind): LinearPart {
    for (const module of this.#architecture.modules) {
      const part = module.parts.find((one) => one.kind === kind)
      if (part !== undefined) return this.#partOf(layerTensor(module.path, layer), module, part.outputs)
    }
    throw new Error(`no module of ${this.#architecture.family} holds ${kind}`)
  }

  /** A matrix of its own, every value times `factor`. */
  matrix(name: string, outDim: number, inDim: number, factor: number): LinearPart {
    const stem = name.replace(/\.weight$/, '')
    const matrix = (): PackedMatrix | null => this.#matrix(stem, { inDim, outDim })
    const readRows = (into: Float32Array, first: number): void => {
      const packed = matrix()
      if (packed === null) this.#read(name, into, first * inDim)
      else packed.dequantise(into, first)
      if (factor !== 1) for (let i = 0; i < into.length; i++) into[i]! *= factor
    }
    const packed = (): ReturnType<LinearPart['packed']> => {
      const found = matrix()
      return found === null ? null : { matrix: found, runs: [[0, outDim]] }
    }
    return { outDim, readRows, readBias: () => undefined, packed }
  }

  #partOf(stem: string, module: LinearModule, outputs: OutputRange): LinearPart {
    const { inDim, outDim, transposed, biased } = module
    const runs = [...outputRuns(outputs)]
    const readRun = (into: Float32Array, row: number): void => {
      const packed = this.#matrix(stem, module)
      if (packed !== null) packed.dequantise(into, row)
      else if (!transposed) this.#read(`${stem}.weight`, into, row * inDim)
      else into.set(this.#turn(`${stem}.weight`, module).subarray(row * inDim, row * inDim + into.length))
    }
    return {
      outDim: outputs.run * outputs.times,
      readRows: (into, first) => {
        let passed = 0
        let filled = 0
        for (const [start, count] of runs) {
          const skip = Math.max(0, first - passed)
          const rows = Math.min(count - skip, into.length / inDim - filled)
          passed += count
          if (rows <= 0) continue
          readRun(into.subarray(filled * inDim, (filled + rows) * inDim), start + skip)
          filled += rows
        }
      },
      readBias: (into) => {
        if (!biased) return
        const whole = new Float32Array(outDim)
        this.#read(`${stem}.bias`, whole, 0)
        let filled = 0
        for (const [start, count] of runs) {
          into.set(whole.subarray(start, start + count), filled)
          filled += count
        }
      },
      packed: () => {
        const matrix = this.#matrix(stem, module)
        return matrix === null ? null : { matrix, runs }
      },
    }
  }

  #matrix(stem: string, size: Pick<LinearModule, 'inDim' | 'outDim'>): PackedMatrix | null {
    return this.#packed?.has(stem) ? this.#packed.matrix(stem, size) : null
  }

  /** A transposed weight `[inDim, outDim]` as rows `[outDim, inDim]`. */
  #turn(name: string, { inDim, outDim }: LinearModule): Float32Array {
    if (this.#turned?.name === name) return this.#turned.rows
    const whole = new Float32Array(inDim * outDim)
    this.#read(name, whole, 0)
    const rows = new Float32Array(inDim * outDim)
    transposeInto(whole, inDim, outDim, rows, inDim, 0)
    this.#turned = { name, rows }
    return rows
  }
}
