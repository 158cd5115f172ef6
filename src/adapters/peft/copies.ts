import type { BaseWeights } from '../../core/base-weights.ts'
import { TroupeError } from '../../core/errors.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import type { Dtype } from '../../safetensors/dtype.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { findModule } from '../base-modules.ts'
import type { SavedCopy } from './tensors.ts'

/** Elements compared at a time. */
const PIECE = 1 << 20

/**
 * Checks that the copies of embedding and head that PEFT saves with some adapters are the base model's own: then they change nothing.
 *
 * @throws TroupeError `unsupported_adapter` naming a tensor that is another module or has other values
 */
export function checkCopies(
  copies: readonly SavedCopy[],
  file: SafetensorsFile,
  info: ModelInfo,
  weights: BaseWeights,
): void {
  for (const { path, tensor } of copies) {
    const kind = findModule(info, path)?.parts[0]?.kind
    if (kind !== 'embed_tokens' && kind !== 'lm_head') {
      throw refusal(tensor, 'is a module saved whole (modules_to_save), which is not supported; train a LoRA on it')
    }
    const { shape } = file.entry(tensor)
    if (shape.length !== 2 || shape[0] !== info.vocab || shape[1] !== info.hidden) {
      const text = `is [${shape.join(', ')}], the base model ${info.name} has [${info.vocab}, ${info.hidden}]`
      throw refusal(tensor, `${text}: a vocabulary of its own is not supported`)
    }
    const rows = weights.rows(0, kind)
    const rounding = roundingOf(file.entry(tensor).dtype)
    const step = Math.max(1, Math.floor(PIECE / info.hidden))
    for (let first = 0; first < info.vocab; first += step) {
      const size = Math.min(step, info.vocab - first) * info.hidden
      const own = new Float32Array(size)
      rows.readRows(own, first)
      const saved = file.readF32(tensor, new Float32Array(size), first * info.hidden)
      if (saved.every((value, i) => Math.abs(value - own[i]!) <= rounding(own[i]!))) continue
      throw refusal(
        tensor,
        'differs from the base model’s: an embedding or head trained whole (modules_to_save) is not supported; train a LoRA on it',
      )
    }
  }
}

/** How far a value may be moved by saving it in a type: a copy in f16 of an embedding in bf16 is still a copy. */
function roundingOf(dtype: Dtype): (value: number) => number {
  if (dtype === 'F16') return (value) => Math.max(2 ** -11 * Math.abs(value), 2 ** -25)
  return dtype === 'BF16' ? (value) => 2 ** -9 * Math.abs(value) : () => 0
}

function refusal(name: string, fault: string): TroupeError {
  return new TroupeError('unsupported_adapter', `tensor "${name}" ${fault}`, { param: name })
}
