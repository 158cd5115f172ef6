import type { AdapterWeights } from '../../core/branch.ts'
import { ACTIVATIONS } from '../../core/branch.ts'
import type { AdapterFormat, KvFormat } from '../../core/model-info.ts'
import { KV_FORMATS } from '../../core/model-info.ts'
import type { Architecture, Rope } from '../../model/architecture.ts'
import type { Device, DeviceStatistics, LoadedAdapter, LogitTools, StepInput } from '../port.ts'
import { nativeAdapter } from './adapter.ts'
import { buildStepGraph } from './graph.ts'
import type { InputSquares, NativeArchitecture, NativeModel } from '../../native/addon.ts'
import { deviceError, guarded, nativeAddon, ortLibrary } from '../../native/addon.ts'

/** A prepared model, as far as a device needs it. */
export interface DeviceModel {
  readonly architecture: Architecture
  /** Path of `weights.bin`. */
  readonly weights: string
  /** Where its tensors lie. */
  readonly tensors: Readonly<
    Record<string, { readonly format: string; readonly offset: number; readonly bytes: number }>
  >
}

export interface CpuOptions {
  /** Threads of a step, the calling one among them. */
  readonly threads: number
  readonly kvFormat: KvFormat
  readonly kvPages: number
  readonly adapterFormat: AdapterFormat
  /** Whether threads that wait for the next operator keep their cores. */
  readonly spinning: boolean
}

/** Products of a layer whose inputs can be collected, in the order of `native/runtime/architecture.h`; the head is one for all layers. */
const BLOCKS = ['qkv', 'o', 'mlpIn', 'down', 'head'] as const
export type CollectedBlock = (typeof BLOCKS)[number]

/**
 * Loads the addon and runs one of its kernels.
 *
 * @throws {DeviceError} when it cannot be loaded, or the processor lacks what its kernels need
 */
export function tryCpu(): void {
  guarded(() => nativeAddon().argmax(Float32Array.of(0, 1), null))
}

/**
 * The base model on the CPU: memory-mapped weights, pages and adapters in native memory, one ONNX graph of operators of our own.
 *
 * @throws {DeviceError} when the addon, the prepared weights or memory cannot be had
 */
export function openCpuDevice(model: DeviceModel, options: CpuOptions): CpuDevice {
  return new CpuDevice(model, options)
}

export class CpuDevice implements Device {
  readonly kvPages: number
  readonly pageBytes: number
  readonly tools: LogitTools
  readonly #addon = nativeAddon()
  readonly #model: NativeModel
  readonly #loads = new Set<Promise<LoadedAdapter>>()
  #logitWidth: number

  constructor({ architecture, weights, tensors }: DeviceModel, options: CpuOptions) {
    const { threads, kvFormat, kvPages, adapterFormat, spinning } = options
    this.#model = guarded(() =>
      this.#addon.open({
        ortLibrary: ortLibrary(),
        weights,
        graph: buildStepGraph(architecture),
        tensors: Object.entries(tensors).map(([name, { format, offset, bytes }]) => ({ name, format, offset, bytes })),
        architecture: nativeArchitecture(architecture),
        kvFormat: KV_FORMATS.indexOf(kvFormat),
        kvPages,
        adapterFormat: adapterFormat === 'f32' ? 0 : 1,
        threads,
        spinning,
      }),
    )
    this.kvPages = kvPages
    this.pageBytes = this.#addon.pageBytes(this.#model)
    this.#logitWidth = architecture.vocab
    const { argmax, logSumExp, largest } = this.#addon
    this.tools = { argmax, logSumExp, largest }
  }

  get logitWidth(): number {
    return this.#logitWidth
  }

  async loadAdapter(weights: AdapterWeights): Promise<LoadedAdapter> {
    const load = guarded(() => this.#addon.loadAdapter(this.#model, nativeAdapter(weights)))
    this.#loads.add(load)
    try {
      const adapter = await load
      this.#measureLogits()
      return adapter
    } catch (error) {
      throw deviceError(error)
    } finally {
      this.#loads.delete(load)
    }
  }

  dropAdapter(id: number): void {
    guarded(() => this.#addon.dropAdapter(this.#model, id))
    this.#measureLogits()
  }

  step(input: StepInput, logits: Float32Array): void {
    const { tokens, sequences, pages, mixStart, mixAdapters, mixScales, mixStacked, logitRows } = input
    guarded(() =>
      this.#addon.step(
        this.#model,
        tokens,
        sequences,
        pages,
        mixStart,
        mixAdapters,
        mixScales,
        mixStacked,
        logitRows,
        logits,
      ),
    )
  }

  copyPage(from: number, to: number): void {
    guarded(() => this.#addon.copyPage(this.#model, from, to))
  }

  writePrefix(adapter: number, pages: Int32Array): void {
    guarded(() => this.#addon.writePrefix(this.#model, adapter, pages))
  }

  /** Begins or ends summing the squares of what blocks read, for calibration; beginning forgets earlier sums. */
  collectInputs(on: boolean): void {
    guarded(() => this.#addon.collectInputs(this.#model, on))
  }

  /** The sums of a block; null before any row went through it. */
  inputSquares(layer: number, block: CollectedBlock): InputSquares | null {
    return guarded(() => this.#addon.inputSquares(this.#model, layer, BLOCKS.indexOf(block)))
  }

  statistics(): DeviceStatistics {
    return guarded(() => this.#addon.statistics(this.#model))
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#loads)
    guarded(() => this.#addon.close(this.#model))
  }

  #measureLogits(): void {
    this.#logitWidth = guarded(() => this.#addon.logitWidth(this.#model))
  }
}

function nativeArchitecture(architecture: Architecture): NativeArchitecture {
  const { norm, residual, mlpKind, activation, attention, ropes, longRope, positionOffset } = architecture
  const { hidden, layers, heads, kvHeads, headDim, mlp, vocab, maxContext } = architecture
  const { residualScale, embedScale, logitScale, logitSoftcap } = architecture
  return {
    ...{ hidden, layers, heads, kvHeads, headDim, mlp, vocab, maxContext },
    ...{ residualScale, embedScale, logitScale },
    layerNorm: norm.kind === 'layer',
    epsilon: norm.eps,
    parallel: residual === 'parallel',
    gated: mlpKind === 'gated',
    activation: ACTIVATIONS.indexOf(activation),
    attentionScale: attention.scale,
    attentionSoftcap: attention.softcap ?? 0,
    windows: Int32Array.from(attention.windows, (window) => window ?? 0),
    ropeOfLayer: Int32Array.from(attention.ropes, (rope) => rope ?? -1),
    ropes: ropes.map(nativeRope),
    longRope: longRope === null ? null : nativeRope(longRope.rope),
    learnedPositions: positionOffset !== null,
    logitSoftcap: logitSoftcap ?? 0,
  }
}

function nativeRope({ inverseFrequencies, attentionFactor }: Rope): NativeArchitecture['ropes'][number] {
  return { inverseFrequencies: Float64Array.from(inverseFrequencies), attentionFactor }
}
