import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ModelInfo } from '../../src/core/model-info.ts'
import type { DeviceModel } from '../../src/device/cpu/device.ts'
import { fusedBlocks } from '../../src/model/fused-blocks.ts'
import { kindDims } from '../../src/model/families/modules.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import { WEIGHTS_FILE } from '../../src/model/prepared.ts'

const TILE = 16
const ALIGNMENT = 64

/** A checkpoint as a device opens it, in f32 tiles. */
export interface TiledModel extends DeviceModel {
  readonly info: ModelInfo
  remove(): void
}

/** Prepares a checkpoint and lays its products out in tiles of 16 outputs, every part from a tile of its own. */
export async function tiledModel(modelDir: string): Promise<TiledModel> {
  const root = mkdtempSync(join(tmpdir(), 'troupe-device-'))
  const { dir, manifest } = await prepareModel({ modelDir, precision: 'f32', cacheDir: root })
  const { architecture, info } = manifest
  const bytes = readFileSync(join(dir, WEIGHTS_FILE))
  const floats = (name: string): Float32Array => {
    const { offset, bytes: length } = manifest.tensors[name]!
    return new Float32Array(bytes.buffer, bytes.byteOffset + offset, length / 4)
  }
  const parts: Buffer[] = []
  const tensors: Record<string, { format: string; offset: number; bytes: number }> = {}
  let end = 0
  const add = (name: string, values: Float32Array): void => {
    const padding = (ALIGNMENT - (end % ALIGNMENT)) % ALIGNMENT
    parts.push(Buffer.alloc(padding), Buffer.from(values.buffer, values.byteOffset, values.byteLength))
    tensors[name] = { format: 'f32', offset: end + padding, bytes: values.byteLength }
    end += padding + values.byteLength
  }
  const outDims = (name: string): readonly number[] => {
    const kinds = fusedBlocks(architecture)[name.replace(/^layers\.\d+\./, '')]
    return kinds?.map((kind) => kindDims(kind, architecture)[1]) ?? [architecture.vocab]
  }
  for (const [name, { shape }] of Object.entries(manifest.tensors)) {
    if (name.startsWith('rope.')) continue
    const block = name.replace(/\.weight$/, '')
    if (block === name) add(name, floats(name))
    else add(`${block}.w`, tiled(floats(name), shape[0]!, outDims(block)))
  }
  const weights = join(root, 'tiles.bin')
  writeFileSync(weights, Buffer.concat(parts))
  // What was prepared has the scale of the embedding in it already.
  const unscaled = { ...architecture, embedScale: 1 }
  const remove = (): void => rmSync(root, { recursive: true, force: true })
  return { architecture: unscaled, info, weights, tensors, remove }
}

/** `[inDim, Σ outDims]` as tiles `[inDim, 16]`. */
function tiled(weights: Float32Array, inDim: number, outDims: readonly number[]): Float32Array {
  const outputs = outDims.reduce((sum, outDim) => sum + outDim, 0)
  const tiles = outDims.reduce((sum, outDim) => sum + Math.ceil(outDim / TILE), 0)
  const out = new Float32Array(tiles * inDim * TILE)
  let tile = 0
  let first = 0
  for (const outDim of outDims) {
    for (let o = 0; o < outDim; o++)
      for (let k = 0; k < inDim; k++)
        out[((tile + Math.floor(o / TILE)) * inDim + k) * TILE + (o % TILE)] = weights[k * outputs + first + o]!
    tile += Math.ceil(outDim / TILE)
    first += outDim
  }
  return out
}
