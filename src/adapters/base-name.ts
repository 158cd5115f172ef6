import { TroupeError } from '../core/errors.ts'
import { isLocalPath, modelName } from '../core/model-name.ts'

/** What says how weights are stored and not which they are. */
const STORED =
  /[-_.](unsloth|bnb|nf4|4bit|8bit|int4|int8|fp8|fp16|bf16|f16|f32|gptq|awq|hf|w\d+a\d+|g\d+|\d+bit|dynamic|quantized)$/

/** How two names of base models are related. */
export type NameMatch = 'same' | 'variant' | 'other'

/**
 * Compares the name of a base model that an adapter's files give with those of the served one. Case, a leading `Meta-` and what says how weights
 * are stored (`-bnb-4bit`, `-GPTQ`, `-hf`) do not count. A `variant` continues the other, as `Llama-3.2-1B-Instruct` does `Llama-3.2-1B`.
 */
export function compareNames(named: string, known: readonly string[]): NameMatch {
  const wanted = essence(named)
  const names = known.map(essence)
  if (wanted !== '' && names.includes(wanted)) return 'same'
  return names.some((name) => continues(name, wanted) || continues(wanted, name)) ? 'variant' : 'other'
}

/**
 * Checks that an adapter was made for a base model of one of these names; files that name none pass.
 *
 * @param mayDiffer takes any name, with a warning
 * @returns what to know about the names; null where there is nothing
 * @throws TroupeError `base_mismatch`
 */
export function checkBaseName(named: string | null, known: readonly string[], mayDiffer: boolean): string | null {
  if (named === null) return null
  const match = compareNames(named, known)
  if (match === 'same') return null
  const served = [...new Set(known.map(modelName))].map((name) => `"${name}"`).join(' or ')
  if (match === 'variant') return `trained on "${named}", served on ${served}: another variant of the same model`
  if (isLocalPath(named)) {
    return `trained on the local path "${named}", which names no model: whether it was ${served} is told by shapes and the probe only`
  }
  if (mayDiffer) return `trained on "${named}", served on ${served}, as was asked for`
  throw new TroupeError(
    'base_mismatch',
    `adapter_config.json says the adapter was made for "${named}", the base model here is ${served}; if they are the same weights, ` +
      'add ?allow_base_mismatch=true to the upload, or use --allow-base-mismatch for the server or the import',
    { param: 'base_model_name_or_path' },
  )
}

function essence(path: string): string {
  let name = modelName(path)
    .toLowerCase()
    .replace(/^meta-/, '')
  while (STORED.test(name)) name = name.replace(STORED, '')
  return name
}

function continues(longer: string, shorter: string): boolean {
  return shorter !== '' && longer.startsWith(shorter) && /^[-_.]/.test(longer.slice(shorter.length))
}
