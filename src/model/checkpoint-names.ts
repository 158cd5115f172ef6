import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseJsonObject } from '../core/json.ts'

/** What a model folder is called: by its path, and by `_name_or_path` in its configuration, which is what training saves into adapters. */
export function checkpointNames(dir: string): string[] {
  const config = parseJsonObject(readFileSync(join(dir, 'config.json'), 'utf8'), 'config.json', 'invalid_model')
  const named = config['_name_or_path']
  return [resolve(dir), ...(typeof named === 'string' && named !== '' ? [named] : [])]
}
