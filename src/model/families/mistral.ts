import type { Family } from './decoder.ts'
import { llamaModules } from './modules.ts'
import { LLAMA_NAMES } from './names.ts'
import { readWindow, uniformWindows } from './windows.ts'

/** Mistral: every layer sees the last `sliding_window` positions, 4096 where nothing is said. */
export const MISTRAL: Family = {
  modelType: 'mistral',
  className: 'MistralForCausalLM',
  names: LLAMA_NAMES,
  modules: (_, sizes) => llamaModules(sizes),
  traits: (config, sizes) => ({ attention: { windows: uniformWindows(readWindow(config, 4096), sizes) } }),
}
