import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { parse as parseYaml } from 'yaml'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isJsonObject, parseJsonObject } from '../core/json.ts'

/** Reads a configuration file, JSON or YAML by its ending. Throws `invalid_config` naming the file. */
export function readConfigFile(path: string): JsonObject {
  const ending = extname(path).toLowerCase()
  if (!['.json', '.yaml', '.yml'].includes(ending))
    throw new TroupeError('invalid_config', `${path}: a configuration file ends in .json, .yaml or .yml`, {
      param: 'config',
    })
  const text = readText(path, 'configuration file')
  return ending === '.json' ? parseJsonObject(text, path, 'invalid_config') : yamlObject(text, path)
}

/** Reads a file that the configuration names. Throws `invalid_config` when that is not possible. */
export function readText(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new TroupeError('invalid_config', `the ${what} ${path} cannot be read: ${messageOf(cause)}`, {
      param: path,
      cause,
    })
  }
}

function yamlObject(text: string, path: string): JsonObject {
  let value: unknown
  try {
    value = parseYaml(text)
  } catch (cause) {
    throw new TroupeError('invalid_config', `${path} is not valid YAML: ${messageOf(cause)}`, { param: path, cause })
  }
  if (value === null) return {}
  if (!isJsonObject(value))
    throw new TroupeError('invalid_config', `${path} must hold settings as \`key: value\``, { param: path })
  return value
}
