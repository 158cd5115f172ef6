import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { parseJsonObject } from '../core/json.ts'

/** Reads a text file of a model folder; null when there is none. Throws `invalid_model` when it cannot be read. */
export async function readModelText(modelDir: string, file: string): Promise<string | null> {
  try {
    return await readFile(join(modelDir, file), 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null
    throw new TroupeError('invalid_model', `${file} of ${modelDir} cannot be read: ${messageOf(cause)}`, {
      param: file,
      cause,
    })
  }
}

/** Reads a JSON file of a model folder; null when there is none. Throws `invalid_model` when it is no JSON object. */
export async function readModelJson(modelDir: string, file: string): Promise<JsonObject | null> {
  const text = await readModelText(modelDir, file)
  return text === null ? null : parseJsonObject(text, `${file} of ${modelDir}`, 'invalid_model')
}

/** As `readModelJson`, for a file that must be there. */
export async function requireModelJson(modelDir: string, file: string): Promise<JsonObject> {
  const json = await readModelJson(modelDir, file)
  if (json) return json
  throw new TroupeError(
    'invalid_model',
    `${file} is missing in ${modelDir}: copy it from the checkpoint (save_pretrained of a fast tokenizer writes it)`,
    { param: file },
  )
}

/** A token as `tokenizer_config.json` names it: plain text or an object with `content`. Null when unset. */
export function tokenContent(value: unknown): string | null {
  if (typeof value === 'string') return value
  if (typeof value === 'object' && value !== null && 'content' in value && typeof value.content === 'string')
    return value.content
  return null
}
