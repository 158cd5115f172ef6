import type { Architecture } from './architecture.ts'
import type { ModelInfo, Precision } from '../core/model-info.ts'

/** How the weights of a linear block are stored; the layouts are below. */
export const WEIGHT_FORMATS = ['f32', 'bf16', 'q8', 'q4'] as const
export type WeightFormat = (typeof WEIGHT_FORMATS)[number]

/** One tensor of a prepared model: a byte range of `weights.bin`. Offsets are multiples of 64. */
export interface PreparedTensor {
  readonly format: WeightFormat | 'f16' | 'i32'
  readonly shape: readonly number[]
  readonly offset: number
  readonly bytes: number
}

/**
 * `prepared.json` in the folder of a prepared model; written last, so a folder with it is complete.
 *
 * Tensors (`{i}` = layer):
 *
 *     embed                      f32 or bf16 [vocab, hidden]; absent where the head's tiles hold the same values
 *     positions                  f32 [maxContext, hidden]   only with learned positions
 *     final_norm                 f32 [hidden]
 *     layers.{i}.attn_norm       f32 [hidden]            layers.{i}.mlp_norm  f32 [hidden]
 *     layers.{i}.attn_post_norm, mlp_post_norm           f32 [hidden]    only where the family has them
 *     layers.{i}.q_norm, k_norm  f32 [headDim]           only where the family has them
 *
 * Norms have `norm.offset` added, layer norms a second tensor `<norm>.bias`. And for each linear block `layers.{i}.qkv` (parts q, k, v),
 * `layers.{i}.o`, `layers.{i}.gate_up` (parts gate, up; `layers.{i}.up` in a plain MLP), `layers.{i}.down`, `head` (times `logitScale`),
 * in tiles of 16 outputs; every part begins with a tile of its own, and missing outputs and inputs are zeros:
 *
 *     <block>.w   f32, bf16  [tiles, in, 16 outputs]
 *                 q8         [tiles, blocks, 8, 16 outputs, 4 inputs]   a byte = step + 128, weight = d · step
 *                 q4         [tiles, blocks, 4, 16 outputs, 4 inputs]   low half = inputs 0 … 15 of a block, high half = 16 … 31; weight = d · step + m
 *     <block>.d   f16        [tiles, blocks, 16]     scales of q8 and q4; a block is 32 inputs
 *     <block>.m   f16        [tiles, blocks, 16]     minima of q4
 *     <block>.bias    f32    [out]   only where the block has one (parts without: zeros), without gaps between parts
 *     <block>.inputs  i32    [in]    only where columns are in another order: the input that each column multiplies
 */
export interface PreparedManifest {
  readonly format: 4
  readonly info: ModelInfo
  readonly architecture: Architecture
  readonly tensors: Readonly<Record<string, PreparedTensor>>
  /** `sha256:…` of every tensor's bytes, by name; what is there later is compared with it. */
  readonly digests: Readonly<Record<string, string>>
}

/** A complete prepared model on disk. */
export interface PreparedModel {
  readonly dir: string
  readonly manifest: PreparedManifest
}

/** What a folder of a prepared model is named by. */
export interface PreparedKey {
  readonly fingerprint: string
  readonly precision: Precision
}

/** Part of the name: raised whenever the same checkpoint would be prepared to other bytes or described in other words. */
const PREPARATION = 8

/** The folder of a prepared model, in the folder of all of them. */
export function folderName({ fingerprint, precision }: PreparedKey): string {
  return `${fingerprint.slice('sha256:'.length, 39)}-${precision}-${PREPARATION}`
}

/** Prefix of folders in the making. */
export const UNFINISHED = '.preparing-'
export const WEIGHTS_FILE = 'weights.bin'
export const MANIFEST_FILE = 'prepared.json'
