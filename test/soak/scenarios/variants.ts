import type { Files } from '../../chaos/scenarios/adapters.ts'

const CONFIG = 'adapter_config.json'

interface AdapterConfig {
  readonly lora_alpha?: number
  readonly config?: { readonly scaling?: unknown }
}

/** How much a step changes the strength: little, so that hundreds of variants all act like an adapter. */
const STEP = 1 / 4096

/**
 * The files of an adapter that acts a little stronger than the given one, a LoRA or a bottleneck module: other bytes, so a version of its own.
 *
 * @param step from 1 on: which of the variants
 */
export function variantOf(files: Files, step: number): Files {
  const config = JSON.parse(Buffer.from(files[CONFIG]!).toString()) as AdapterConfig
  const factor = 1 + step * STEP
  const { lora_alpha: alpha, config: method } = config
  if (alpha !== undefined) return { ...files, [CONFIG]: written({ ...config, lora_alpha: alpha * factor }) }
  if (typeof method?.scaling !== 'number') throw new Error('an adapter without a strength has no variants')
  return { ...files, [CONFIG]: written({ ...config, config: { ...method, scaling: method.scaling * factor } }) }
}

function written(config: object): Uint8Array {
  return Buffer.from(JSON.stringify(config))
}
