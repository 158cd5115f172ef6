import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'

export type AdapterFormat = 'peft' | 'adapterhub'

export const CONFIG_FILE = 'adapter_config.json'

/** The file each format keeps its weights in. */
export const WEIGHT_FILES: Readonly<Record<AdapterFormat, string>> = {
  peft: 'adapter_model.safetensors',
  adapterhub: 'adapter.safetensors',
}

/** What an adapter's folder consists of. */
export interface AdapterFiles {
  readonly format: AdapterFormat
  /** Name of the weights file; the configuration is always `adapter_config.json`. */
  readonly weights: string
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
