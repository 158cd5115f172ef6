import { resolve } from 'node:path'
import { Value } from 'typebox/value'
import { TroupeError } from '../core/errors.ts'
import { parseByteSize } from './byte-size.ts'
import { allowedValues } from './describe.ts'
import type { SettingKey, SettingSchema } from './schema.ts'
import { environmentOf, flagOf, settingSchema } from './schema.ts'

/** Where a value came from. Environment and flags give text, files and callers typed values. */
export type Source =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'environment' }
  | { readonly kind: 'flag' }
  | { readonly kind: 'option' }

/**
 * One value as the schema wants it: text is read as what it stands for, paths become absolute.
 *
 * @param base folder that relative paths are relative to
 * @throws TroupeError `invalid_config` naming the key, its source and the allowed values
 */
export function checkSetting(key: SettingKey, raw: unknown, source: Source, base: string): unknown {
  const schema = settingSchema(key)
  const isText = source.kind === 'environment' || source.kind === 'flag'
  const value = readValue(schema, raw, isText)
  const where = `${key} ${nameOf(source, key)}`
  if (typeof value === 'string' && schema.unavailable?.includes(value))
    throw wrong(key, `${where}: "${value}" is not available in this build; it must be ${allowedValues(schema)}`)
  if (!Value.Check(schema, value))
    throw wrong(key, `${where} must be ${allowedValues(schema)}, not ${JSON.stringify(raw)}`)
  const isUrl = typeof value === 'string' && value.includes('://')
  return schema.path && !isUrl ? resolve(base, value as string) : value
}

function readValue(schema: SettingSchema, raw: unknown, isText: boolean): unknown {
  if (typeof raw !== 'string') return raw
  const { type } = schema
  if (schema.unit === 'bytes') return parseByteSize(raw)
  if (!isText) return raw
  if (type === 'integer') return /^\d+$/.test(raw.trim()) ? Number(raw) : raw
  if (type === 'array') return listOf(raw)
  if (type === 'boolean') return { true: true, '1': true, false: false, '0': false }[raw.trim().toLowerCase()]
  return raw
}

/** `a, b` → `['a', 'b']`. */
function listOf(text: string): readonly string[] {
  const items = text.split(',').map((item) => item.trim())
  return items.filter((item) => item !== '')
}

function nameOf(source: Source, key: SettingKey): string {
  switch (source.kind) {
    case 'file':
      return `in ${source.path}`
    case 'environment':
      return `in the environment (${environmentOf(key)})`
    case 'flag':
      return `as a flag (${flagOf(key)})`
    case 'option':
      return 'as an option'
  }
}

function wrong(key: SettingKey, message: string): TroupeError {
  return new TroupeError('invalid_config', message, { param: key })
}
