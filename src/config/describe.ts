import { BYTE_SIZE_HELP, formatByteSize } from './byte-size.ts'
import type { SettingSchema } from './schema.ts'

/** What the schema allows, in words. */
export function allowedValues(schema: SettingSchema): string {
  const { type, minimum, maximum, pattern, enum: choices } = schema
  if (choices) return choices.map((choice) => `"${choice}"`).join(' or ')
  if (schema.unit === 'bytes') return BYTE_SIZE_HELP
  if (type === 'integer') return `a whole number from ${minimum} to ${maximum}`
  if (type === 'boolean') return 'true or false'
  if (type === 'array') return `a list of ${schema.entries}`
  if (schema.path) return 'a path'
  return pattern === undefined ? 'a text' : `a text like ${pattern}`
}

/** What holds where nothing is set: `code` for values, words where it depends on machine or model. */
export function defaultOf(schema: SettingSchema): string {
  const { default: value, defaultText } = schema
  if (defaultText !== undefined) return defaultText
  return `\`${schema.unit === 'bytes' && typeof value === 'number' ? formatByteSize(value).replace(' ', '') : String(value)}\``
}
