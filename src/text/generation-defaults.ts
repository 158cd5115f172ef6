import { TroupeError } from '../core/errors.ts'
import { readModelJson } from './model-files.ts'

/** How the base model's makers sample from it; null = they say nothing. */
export interface GenerationDefaults {
  readonly temperature: number | null
  readonly topK: number | null
  readonly topP: number | null
  readonly minP: number | null
  readonly repetitionPenalty: number | null
  readonly maxTokens: number | null
}

const FILE = 'generation_config.json'

/**
 * Reads `generation_config.json`, as transformers means it: without `do_sample` nothing is said about the temperature, with `false` it is 0.
 *
 * @throws TroupeError `invalid_model` for a value that is no number in its range
 */
export async function readGenerationDefaults(modelDir: string): Promise<GenerationDefaults> {
  const config = (await readModelJson(modelDir, FILE)) ?? {}
  const number = (field: string, least: number, most: number): number | null => {
    const value = config[field]
    if (value === undefined || value === null) return null
    if (typeof value === 'number' && value >= least && value <= most) return value
    const message = `${field} in ${FILE} is ${JSON.stringify(value)}: it must be a number from ${least} to ${most}`
    throw new TroupeError('invalid_model', message, { param: FILE })
  }
  const temperature = number('temperature', 0, 100)
  return {
    temperature: config.do_sample === false ? 0 : temperature,
    topK: number('top_k', -1, Number.MAX_SAFE_INTEGER),
    topP: number('top_p', 0, 1),
    minP: number('min_p', 0, 1),
    repetitionPenalty: number('repetition_penalty', 0, 100),
    maxTokens: number('max_new_tokens', 1, Number.MAX_SAFE_INTEGER),
  }
}
