import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { DeviceError } from '../core/device-error.ts'
import { messageOf } from '../core/errors.ts'

/** What `open` returned: a model in native memory. */
export type NativeModel = object & { readonly __model: unique symbol }

/** A rotary embedding; see `Rope` in `src/model/architecture.ts`. */
interface NativeRope {
  readonly inverseFrequencies: Float64Array
  readonly attentionFactor: number
}

/** `Architecture` of `native/runtime/architecture.h`, field by field. */
export interface NativeArchitecture {
  readonly hidden: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly mlp: number
  readonly vocab: number
  readonly maxContext: number
  readonly layerNorm: boolean
  readonly epsilon: number
  readonly parallel: boolean
  readonly residualScale: number
  readonly gated: boolean
  /** Index into `ACTIVATIONS`. */
  readonly activation: number
  readonly attentionScale: number
  /** 0: none, as of windows and of `logitSoftcap`. */
  readonly attentionSoftcap: number
  readonly windows: Int32Array
  readonly ropeOfLayer: Int32Array
  readonly ropes: readonly NativeRope[]
  readonly longRope: NativeRope | null
  readonly learnedPositions: boolean
  readonly embedScale: number
  readonly logitScale: number
  readonly logitSoftcap: number
}

export interface NativeOptions {
  readonly ortLibrary: string
  readonly weights: string
  readonly graph: Uint8Array
  readonly tensors: readonly {
    readonly name: string
    readonly format: string
    readonly offset: number
    readonly bytes: number
  }[]
  readonly architecture: NativeArchitecture
  /** Index into `KV_FORMATS`. */
  readonly kvFormat: number
  readonly kvPages: number
  /** 0: f32, 1: bf16. */
  readonly adapterFormat: number
  readonly threads: number
  readonly spinning: boolean
}

/** An adapter as `native/addon/options.cc` reads it; sites are counted over linear, residual and edge kinds. */
export interface NativeAdapter {
  readonly branches: readonly {
    readonly layer: number
    readonly site: number
    readonly rank: number
    readonly activation: number
    readonly scale: number
    readonly down: Float32Array
    readonly up: Float32Array
    readonly a: Float32Array | null
    readonly c: Float32Array | null
  }[]
  readonly gains: readonly {
    readonly layer: number
    readonly site: number
    readonly out: boolean
    readonly values: Float32Array
  }[]
  readonly embeddings: { readonly count: number; readonly values: Float32Array } | null
  readonly prefix: {
    readonly count: number
    readonly layers: readonly { readonly keys: Float32Array; readonly values: Float32Array }[]
  } | null
  readonly tokens: {
    readonly ids: Int32Array
    readonly embed: Float32Array | null
    readonly head: Float32Array | null
  } | null
}

/** Σ x² of the inputs of a block over the rows that went through it. */
export interface InputSquares {
  readonly rows: number
  readonly squares: Float32Array
}

/** Functions of the addon. All of them throw errors with a `code`. */
interface Addon {
  open(options: NativeOptions): NativeModel
  close(model: NativeModel): void
  loadAdapter(model: NativeModel, weights: NativeAdapter): Promise<{ readonly id: number; readonly bytes: number }>
  dropAdapter(model: NativeModel, id: number): void
  step(
    model: NativeModel,
    tokens: Int32Array,
    sequences: Int32Array,
    pages: Int32Array,
    mixStart: Int32Array,
    mixAdapters: Int32Array,
    mixScales: Float32Array,
    mixStacked: Uint8Array,
    logitRows: Int32Array,
    logits: Float32Array,
  ): void
  copyPage(model: NativeModel, from: number, to: number): void
  writePrefix(model: NativeModel, adapter: number, pages: Int32Array): void
  logitWidth(model: NativeModel): number
  pageBytes(model: NativeModel): number
  statistics(model: NativeModel): {
    readonly kernels: string
    readonly steps: number
    readonly tokens: number
    readonly stepSeconds: number
    readonly weightBytes: number
    readonly kvBytes: number
    readonly adapterBytes: number
    readonly scratchBytes: number
  }
  collectInputs(model: NativeModel, on: boolean): void
  inputSquares(model: NativeModel, layer: number, block: number): InputSquares | null
  readonly argmax: (row: Float32Array, mask: Uint32Array | null) => number
  readonly logSumExp: (row: Float32Array) => number
  readonly largest: (row: Float32Array, ids: Int32Array, mask: Uint32Array | null) => number
  /** Packs rows of weights into tiles, on other threads; the arrays must be left alone until it is done. */
  packRows(
    format: number,
    rows: Float32Array,
    inputs: number,
    importance: Float32Array | null,
    tiles: Uint8Array,
    d: Uint16Array,
    m: Uint16Array,
  ): Promise<void>
}

const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-arm64', 'win32-x64', 'win32-arm64']
const ORT_LIBRARIES: Readonly<Record<string, string>> = {
  linux: 'libonnxruntime.so.1',
  darwin: 'libonnxruntime.1.dylib',
  win32: 'onnxruntime.dll',
}
const PREBUILDS = join(import.meta.dirname, '../../native/prebuilds')
const require = createRequire(import.meta.url)

/**
 * Loads the addon of a platform.
 *
 * @throws {DeviceError} `addon_platform` where there is none for it, `addon_missing`, `addon_damaged` when it is no library or one of another kind of machine
 */
export function loadAddon(platform: string, folder = PREBUILDS): Addon {
  if (!PLATFORMS.includes(platform))
    throw new DeviceError(
      'addon_platform',
      `there is no native addon for ${platform}, only for ${PLATFORMS.join(', ')}`,
    )
  const path = join(folder, platform, 'troupe.node')
  if (!existsSync(path))
    throw new DeviceError('addon_missing', `the native addon ${path} is missing; install the package again`)
  let addon: Partial<Addon>
  try {
    addon = require(path) as Partial<Addon>
  } catch (cause) {
    throw new DeviceError('addon_damaged', `the native addon ${path} cannot be loaded (${messageOf(cause)})`, { cause })
  }
  // It exports nothing where this Node lacks something that it calls.
  if (typeof addon.open !== 'function')
    throw new DeviceError('addon_damaged', `the native addon ${path} does not work with Node ${process.version}`)
  return addon as Addon
}

let loaded: Addon | undefined

/** The addon of this machine. */
export function nativeAddon(): Addon {
  return (loaded ??= loadAddon(`${process.platform}-${process.arch}`))
}

/** Path of the ONNX Runtime that onnxruntime-node ships for this machine. */
export function ortLibrary(): string {
  const bin = join(dirname(require.resolve('onnxruntime-node')), '../bin/napi-v6')
  return join(bin, process.platform, process.arch, ORT_LIBRARIES[process.platform]!)
}

/** What a call into the addon returns; what it throws becomes a `DeviceError`. */
export function guarded<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw deviceError(error)
  }
}

export function deviceError(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error
  return new DeviceError(error.code, error.message, { cause: error })
}
