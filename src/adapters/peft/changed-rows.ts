import type { BaseWeights } from '../../core/base-weights.ts'
import type { EdgeKind } from '../../core/branch.ts'
import { TroupeError } from '../../core/errors.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import type { Dtype } from '../../safetensors/dtype.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'

/** Elements compared at a time. */
const PIECE = 1 << 20
/** Most rows beyond the base model's that are taken for tokens that training added, and not for another vocabulary. */
const MAX_NEW_TOKENS = 4_096

/**
 * Which rows of a copy of embedding or head differ from the base model's: rows by token. Rows beyond the base model's always do.
 *
 * @throws TroupeError `base_mismatch` naming the tensor when it has another width or fewer rows
 */
export function changedRows(
  tensor: string,
  kind: EdgeKind,
  file: SafetensorsFile,
  info: ModelInfo,
  weights: BaseWeights,
): ReadonlyMap<number, number> {
  const { shape, dtype } = file.entry(tensor)
  const { vocab, hidden, name } = info
  const [count = 0, width] = shape
  if (shape.length !== 2 || width !== hidden || count < vocab || count > vocab + MAX_NEW_TOKENS) {
    const most = `from ${vocab} to ${vocab + MAX_NEW_TOKENS} rows of ${hidden}`
    const text = `tensor "${tensor}" is [${shape.join(', ')}], for the base model ${name} it must have ${most}`
    throw new TroupeError('base_mismatch', text, { param: tensor })
  }
  const base = weights.rows(0, kind)
  const rounding = roundingOf(dtype)
  const rows = new Map<number, number>()
  const step = Math.max(1, Math.floor(PIECE / hidden))
  for (let first = 0; first < vocab; first += step) {
    const taken = Math.min(step, vocab - first)
    const own = new Float32Array(taken * hidden)
    base.readRows(own, first)
    const saved = file.readF32(tensor, new Float32Array(taken * hidden), first * hidden)
    for (let row = 0; row < taken; row++) {
      if (!isCopy(saved, own, row * hidden, hidden, rounding)) rows.set(first + row, first + row)
    }
  }
  for (let row = vocab; row < count; row++) rows.set(row, row)
  return rows
}

function isCopy(
  saved: Float32Array,
  own: Float32Array,
  start: number,
  count: number,
  rounding: (value: number) => number,
): boolean {
  for (let i = start; i < start + count; i++) {
    if (saved[i] !== own[i] && !(Math.abs(saved[i]! - own[i]!) <= rounding(own[i]!))) return false
  }
  return true
}

/** How far a value may be moved by saving it in a type: a copy in f16 of an embedding in bf16 is still a copy. */
function roundingOf(dtype: Dtype): (value: number) => number {
  if (dtype === 'F16') return (value) => Math.max(2 ** -11 * Math.abs(value), 2 ** -25)
  return dtype === 'BF16' ? (value) => 2 ** -8 * Math.abs(value) : () => 0
}
