import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'

export type AdapterFormat = 'peft' | 'adapterhub' | 'mlx'

export const CONFIG_FILE = 'adapter_config.json'

/** The file each format keeps its weights in. */
export const WEIGHT_FILES: Readonly<Record<AdapterFormat, string>> = {
  peft: 'adapter_model.safetensors',
  adapterhub: 'adapter.safetensors',
  mlx: 'adapters.safetensors',
}

/** What an adapter's folder consists of. */
export interface AdapterFiles {
  readonly format: AdapterFormat
  /** Name of the weights file; the configuration is always `adapter_config.json`. */
  readonly weights: string
}

/** Checks that the configuration is of the format that the weights file's name says. */
export function checkFormat(format: AdapterFormat, config: JsonObject): void {
  const found = formatOf(config)
  if (found === format) return
  if (found === null) {
    throw refusal(
      CONFIG_FILE,
      `${CONFIG_FILE} has neither "peft_type" (PEFT), "config" (AdapterHub) nor "lora_parameters" (MLX)`,
    )
  }
  const text = `${CONFIG_FILE} is of the other format: its weights must be in ${WEIGHT_FILES[found]}, not ${WEIGHT_FILES[format]}`
  throw refusal(CONFIG_FILE, text)
}

/** MLX writes all that it was started with, a `config` too. */
function formatOf(config: JsonObject): AdapterFormat | null {
  if ('peft_type' in config) return 'peft'
  if ('lora_parameters' in config || 'fine_tune_type' in config) return 'mlx'
  return 'config' in config ? 'adapterhub' : null
}

function refusal(param: string, message: string): TroupeError {
  return new TroupeError('invalid_adapter', message, { param })
}
