import { adapterFiles } from '../../support/fixtures.ts'

export type Files = Record<string, Uint8Array>

/** The model all scenarios run on. */
export const FAMILY = 'qwen2'

/** Reference adapters of both methods. */
export const ADAPTERS = ['lora-r8', 'bn-seq', 'lora-r4', 'bn-par', 'lora-r16', 'bn-double'] as const

/** Files of a reference adapter. */
export function referenceFiles(adapter: (typeof ADAPTERS)[number]): Files {
  return adapterFiles(FAMILY, adapter)
}

/** A LoRA that is trained like another one but acts with another strength: other bytes, other answers. */
export function loraWithAlpha(alpha: number, adapter: 'lora-r8' | 'lora-r4' = 'lora-r4'): Files {
  const files = referenceFiles(adapter)
  const config = JSON.parse(Buffer.from(files['adapter_config.json']!).toString()) as object
  return { ...files, 'adapter_config.json': Buffer.from(JSON.stringify({ ...config, lora_alpha: alpha })) }
}
