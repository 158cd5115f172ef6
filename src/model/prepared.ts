import type { Architecture } from './architecture.ts'
import type { ModelInfo } from '../core/model-info.ts'

/** One tensor of a prepared model: a byte range of `weights.bin`. Offsets are multiples of 64. */
export interface PreparedTensor {
  readonly dtype: 'f32' | 'i8' | 'u8' | 'i64'
  readonly shape: readonly number[]
  readonly offset: number
  readonly bytes: number
}

/**
 * `prepared.json` in the folder of a prepared model; written last, so a folder with it is complete.
 *
 * Tensors (`{i}` = layer):
 *
 *     embed                      f32 [vocab, hidden]        times `embedScale`
 *     positions                  f32 [maxContext, hidden]   only with learned positions
 *     final_norm                 f32 [hidden]
 *     layers.{i}.attn_norm       f32 [hidden]            layers.{i}.mlp_norm  f32 [hidden]
 *     layers.{i}.attn_post_norm, mlp_post_norm           f32 [hidden]    only where the family has them
 *     layers.{i}.q_norm, k_norm  f32 [headDim]           only where the family has them
 *     rope.cos, rope.sin         f32 [maxContext, rotated / 2]   with long rope twice as many rows; rope.1.cos … of further rotations
 *
 * Norms have `norm.offset` added, layer norms a second tensor `<norm>.bias`. And for each linear block `layers.{i}.qkv` (q, k, v side by side),
 * `layers.{i}.o`, `layers.{i}.gate_up` (gate, up side by side; `layers.{i}.up` in a plain MLP), `layers.{i}.down`, `head` (times `logitScale`):
 *
 *     f32:   <block>.weight  f32 [in, out]   (transposed for a plain MatMul)
 *     int8, and the head of int4:
 *            <block>.h8      i8  [in, out]       inputs turned (`hadamard.ts`)
 *            <block>.scales  f32 [out]
 *     int4:  <block>.q4      u8  [out, ceil(in / 32), 16]   two steps a byte, low nibble first, zero point 8
 *            <block>.scales  f32 [out, ceil(in / 32)]
 *     all:   <block>.bias    f32 [out]       only where the block has one (parts without: zeros)
 *
 * A block that the checkpoint has packed is written as in int4, at 8 bits as q8 (a byte to a step, zero point 128), with its own number of inputs
 * to a block, a power of two from 16 to 256, in place of 32. It may have two tensors more:
 *
 *            <block>.zeros   u8  [out, ceil(blocks · bits / 8)]    zero points, at 4 bits two a byte
 *            <block>.inputs  i64 [in]     which input every column multiplies
 */
export interface PreparedManifest {
  readonly format: 3
  readonly info: ModelInfo
  readonly architecture: Architecture
  readonly tensors: Readonly<Record<string, PreparedTensor>>
}

/** A complete prepared model on disk. */
export interface PreparedModel {
  readonly dir: string
  readonly manifest: PreparedManifest
}

export const WEIGHTS_FILE = 'weights.bin'
export const MANIFEST_FILE = 'prepared.json'
