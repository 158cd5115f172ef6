import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isPickleName, pickleRefusal } from './pickle.ts'

export type AdapterFormat = 'peft' | 'adapterhub'

export const CONFIG_FILE = 'adapter_config.json'

/** The file each format keeps its weights in. */
export const WEIGHT_FILES: Readonly<Record<AdapterFormat, string>> = {
  peft: 'adapter_model.safetensors',
  adapterhub: 'adapter.safetensors',
}

/** Files that may lie beside an adapter's own and are not read. The last two are the store's. */
const COMPANIONS: readonly string[] = [
  'README.md',
  'LICENSE',
  'LICENSE.md',
  'LICENSE.txt',
  'NOTICE',
  '.gitattributes',
  '.gitignore',
  '.DS_Store',
  'adapter_interface.json',
  'version.json',
  'proof.json',
]

const HEAD_FILES: readonly string[] = ['head_config.json', 'model_head.safetensors']

/** What an adapter's folder consists of. */
export interface AdapterFiles {
  readonly format: AdapterFormat
  /** Name of the weights file; the configuration is always `adapter_config.json`. */
  readonly weights: string
}

/**
 * Recognises an adapter by the names of its files.
 *
 * @throws TroupeError `pickle_refused` for pickled weights, `unsupported_adapter` for prediction heads, `invalid_adapter` for a missing or
 * unexpected file
 */
export function recogniseFiles(names: readonly string[]): AdapterFiles {
  const formats = (['peft', 'adapterhub'] as const).filter((format) => names.includes(WEIGHT_FILES[format]))
  const pickled = names.find(isPickleName)
  if (pickled !== undefined) {
    throw pickleRefusal(pickled, pickled.startsWith('pytorch') ? WEIGHT_FILES.adapterhub : WEIGHT_FILES.peft)
  }
  const head = names.find((name) => HEAD_FILES.includes(name))
  if (head !== undefined) {
    const fix = 'save the adapter with with_head=False'
    throw new TroupeError('unsupported_adapter', `${head}: prediction heads are not supported; ${fix}`, { param: head })
  }
  if (!names.includes(CONFIG_FILE)) throw refusal(CONFIG_FILE, `${CONFIG_FILE} is missing`)
  const [format] = formats
  if (format === undefined) {
    const expected = `${WEIGHT_FILES.peft} (PEFT) or ${WEIGHT_FILES.adapterhub} (AdapterHub)`
    throw refusal(WEIGHT_FILES.peft, `the weights are missing: ${expected}`)
  }
  if (formats.length > 1) {
    throw refusal(
      WEIGHT_FILES.adapterhub,
      `both ${WEIGHT_FILES.peft} and ${WEIGHT_FILES.adapterhub}: one adapter at a time`,
    )
  }
  const known = [CONFIG_FILE, WEIGHT_FILES[format], ...COMPANIONS]
  const unknown = names.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    throw refusal(
      unknown,
      `${unknown} does not belong to an adapter; remove it (expected ${known.slice(0, 2).join(' and ')})`,
    )
  }
  return { format, weights: WEIGHT_FILES[format] }
}

/** Checks that the configuration is of the format that the weights file's name says. */
export function checkFormat(format: AdapterFormat, config: JsonObject): void {
  const found = 'peft_type' in config ? 'peft' : 'config' in config ? 'adapterhub' : null
  if (found === format) return
  if (found === null) {
    throw refusal(CONFIG_FILE, `${CONFIG_FILE} has neither "peft_type" (PEFT) nor "config" (AdapterHub)`)
  }
  const text = `${CONFIG_FILE} is of the other format: its weights must be in ${WEIGHT_FILES[found]}, not ${WEIGHT_FILES[format]}`
  throw refusal(CONFIG_FILE, text)
}

function refusal(param: string, message: string): TroupeError {
  return new TroupeError('invalid_adapter', message, { param })
}
