import type { AdapterWeights } from '../core/branch.ts'

export { DeviceError } from '../core/device-error.ts'

/** Tokens of one page of KV memory. */
export const PAGE_TOKENS = 16

/** Integers that one sequence takes in `StepInput.sequences`, in the order of `SPAN`. */
export const SPAN_INTS = 8

/** Places of a sequence's integers in `StepInput.sequences`, counted from `SPAN_INTS · sequence`. */
export const SPAN = {
  /** Its first token in `tokens`; the sequences' tokens lie one after the other. */
  firstToken: 0,
  /** Its tokens in this step, at least 1. */
  count: 1,
  /** Its tokens that are in pages already: the index of its first token of this step. */
  kvStart: 2,
  /** Index minus position: the length of a prefix that uses no positions, else 0. */
  ropeOffset: 3,
  /** 1: rotated by the long table of a long rope, else 0. */
  ropeTable: 4,
  /** Its mix in this step, −1 = the base model. */
  mix: 5,
  /** Its first page in `pages`. */
  pageStart: 6,
  /** Its pages, enough for `kvStart + count` tokens. */
  pageCount: 7,
} as const

/**
 * What one step evaluates: any number of tokens of any number of sequences. The arrays are read during the call only, so their owner may use
 * them again; the length of an array is the number of its entries that count.
 */
export interface StepInput {
  /** Token ids, `[tokens]`. Below 0: row `−id − 1` of the virtual embeddings of the sequence's mix. */
  readonly tokens: Int32Array
  /** `[sequences, SPAN_INTS]`. */
  readonly sequences: Int32Array
  /** Page tables of the sequences, one after the other. Every page is written by one sequence only. */
  readonly pages: Int32Array
  /** `[mixes + 1]`: mix `m` has the members from `mixStart[m]` to before `mixStart[m + 1]`. */
  readonly mixStart: Int32Array
  /** Ids of `loadAdapter`, by member. */
  readonly mixAdapters: Int32Array
  /** How strongly, by member. */
  readonly mixScales: Float32Array
  /** By mix: 1 = its bottleneck modules stand one above the other, 0 = side by side. */
  readonly mixStacked: Uint8Array
  /** Rows of `tokens` whose logits are wanted, ascending. */
  readonly logitRows: Int32Array
}

/** An adapter in the device's memory. */
export interface LoadedAdapter {
  readonly id: number
  /** Bytes of device memory it takes. */
  readonly bytes: number
}

/** The hot loops of sampling, over one row of logits. A mask has a bit per token, lowest first: 1 = allowed. */
export interface LogitTools {
  /** The smallest id among the largest values; −1 when the mask allows nothing. */
  argmax(row: Float32Array, mask: Uint32Array | null): number
  /** ln Σ exp(row). */
  logSumExp(row: Float32Array): number
  /**
   * The largest values, in falling order, of equals the smaller id first.
   *
   * @param ids takes their ids, as many as it is long
   * @returns how many there were
   */
  largest(row: Float32Array, ids: Int32Array, mask: Uint32Array | null): number
}

/** Gauges of a device. */
export interface DeviceStatistics {
  /** Which kernels it runs, e.g. `avx512`. */
  readonly kernels: string
  readonly steps: number
  readonly tokens: number
  /** Seconds inside `step`. */
  readonly stepSeconds: number
  readonly weightBytes: number
  readonly kvBytes: number
  readonly adapterBytes: number
  /** What steps need besides. */
  readonly scratchBytes: number
}

/**
 * Where the base model runs. It owns the weights, the adapters and the KV pages; above it there are handles. Every misuse (an id after it was dropped, a page that
 * does not exist, arrays that do not fit together) throws a `DeviceError` and leaves the device as it was. All calls are made by one thread.
 */
export interface Device {
  readonly kvPages: number
  /** Bytes of one page: `PAGE_TOKENS` tokens of all layers. */
  readonly pageBytes: number
  /** Values of a row of logits: the vocabulary and the most extra tokens of any loaded adapter. Changes as adapters come and go. */
  readonly logitWidth: number
  readonly tools: LogitTools
  /** Copies an adapter into the device's memory, at its true ranks, while steps go on. */
  loadAdapter(weights: AdapterWeights): Promise<LoadedAdapter>
  /** No mix may name it any more. */
  dropAdapter(id: number): void
  /**
   * Evaluates a step. Blocks the calling thread.
   *
   * @param logits takes `[logitRows, logitWidth]`; tokens that a row's mix does not have are −∞
   */
  step(input: StepInput, logits: Float32Array): void
  copyPage(from: number, to: number): void
  /** Writes the keys and values that an adapter puts before every prompt, into pages of their own. */
  writePrefix(adapter: number, pages: Int32Array): void
  statistics(): DeviceStatistics
  /** Gives everything back; loads under way are waited for. */
  close(): Promise<void>
}
