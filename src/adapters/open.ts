import { closeSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { parseJsonObject } from '../core/json.ts'
import type { SafetensorsFile } from '../safetensors/file.ts'
import { safetensorsFrom } from '../safetensors/file.ts'
import { JSON_TEXT, PLAIN_TEXT, foreignKind } from '../safetensors/foreign.ts'
import type { AdapterFormat } from './files.ts'
import { CONFIG_FILE, checkFormat } from './files.ts'
import type { FoundTokens } from './own-tokens.ts'
import { readFoundTokens } from './own-tokens.ts'
import { looksPickled, pickleRefusal } from './pickle.ts'
import { recogniseFiles } from './recognise.ts'

/** The files of an adapter while they are open. */
export interface OpenAdapter {
  readonly format: AdapterFormat
  readonly config: JsonObject
  readonly file: SafetensorsFile
  /** What its tokenizer adds to the base model's; null = nothing. */
  readonly tokens: FoundTokens | null
  /** The open file of weights, closed with `file`. */
  readonly fd: number
}

/** Opens the adapter in a folder while `use` runs. @throws TroupeError as `readAdapter`, for the files as such */
export function withAdapter<T>(dir: string, use: (adapter: OpenAdapter) => T): T {
  const opened = openAdapter(dir)
  try {
    return use(opened)
  } finally {
    opened.file.close()
  }
}

/**
 * Opens the adapter in a folder; whoever calls it closes `file`. A pickle under the name of a safetensors file gets the refusal that says so.
 *
 * @throws TroupeError as `readAdapter`, for the files as such
 */
export function openAdapter(dir: string): OpenAdapter {
  const { format, weights } = recogniseFiles(attempt(dir, () => readdirSync(dir)))
  const config = readConfig(dir)
  const tokens = readFoundTokens(dir)
  checkFormat(format, config)
  const fd = attempt(weights, () => openSync(join(dir, weights), 'r'))
  const head = new Uint8Array(9)
  try {
    attempt(weights, () => readSync(fd, head, 0, head.length, 0))
    if (looksPickled(head)) throw pickleRefusal(weights, weights)
  } catch (error) {
    closeSync(fd)
    throw error
  }
  return { format, config, tokens, file: safetensorsFrom(fd, 'invalid_adapter', weights), fd }
}

function readConfig(dir: string): JsonObject {
  const bytes = attempt(CONFIG_FILE, () => readFileSync(join(dir, CONFIG_FILE)))
  const foreign = foreignKind(bytes)
  if (foreign !== null && foreign !== JSON_TEXT && foreign !== PLAIN_TEXT) {
    const message = `${CONFIG_FILE} is ${foreign.what}, and not JSON: ${foreign.instead}`
    throw new TroupeError('invalid_adapter', message, { param: CONFIG_FILE })
  }
  return parseJsonObject(bytes.toString('utf8'), CONFIG_FILE, 'invalid_adapter')
}

function attempt<T>(file: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new TroupeError('invalid_adapter', `${file} cannot be read: ${messageOf(cause)}`, { param: file, cause })
  }
}
