import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import { invalid, unsupported } from '../limits.ts'
import type { KindName } from './kinds.ts'

/** Keywords that are enforced. */
const ENFORCED = new Set([
  ...['$ref', '$dynamicRef', '$defs', 'definitions', '$id', '$anchor', '$dynamicAnchor', '$schema'],
  ...['type', 'nullable', 'const', 'enum', 'allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ...['minLength', 'maxLength', 'pattern', 'format'],
  ...['prefixItems', 'items', 'additionalItems', 'contains', 'minContains', 'maxContains', 'minItems', 'maxItems'],
  ...['uniqueItems', 'unevaluatedItems'],
  ...['properties', 'patternProperties', 'additionalProperties', 'propertyNames', 'required', 'minProperties'],
  ...['maxProperties', 'dependentRequired', 'dependentSchemas', 'dependencies', 'unevaluatedProperties'],
])

/** Keywords that say nothing about which values are valid. */
const NOTES = new Set([
  ...['title', 'description', 'default', 'examples', 'example', 'deprecated', 'readOnly', 'writeOnly', '$comment'],
  ...['contentEncoding', 'contentMediaType', 'contentSchema', '$vocabulary'],
  ...['discriminator', 'xml', 'externalDocs', 'markdownDescription', 'enumNames', 'enumDescriptions'],
])

const DIALECTS = /^https?:\/\/json-schema\.org\/(draft\/20(19-09|20-12)|draft-0[4-7])\/schema#?$/

/** Throws `unsupported_schema` for a keyword that would be ignored, `invalid_request` for one that makes no sense. */
export function checkKeywords(schema: JsonObject, at: string): void {
  for (const key of Object.keys(schema))
    if (!ENFORCED.has(key) && !NOTES.has(key) && !key.startsWith('x-'))
      throw unsupported(
        at,
        `\`${key}\` is not a keyword that is enforced`,
        'remove it, or begin its name with `x-` if it is a note',
      )
  const { $schema } = schema
  if ($schema !== undefined && !(typeof $schema === 'string' && DIALECTS.test($schema)))
    throw unsupported(
      at,
      `\`$schema\` ${JSON.stringify($schema)} is a dialect that is not enforced`,
      'use JSON Schema 2020-12',
    )
  if (schema.enum !== undefined && !Array.isArray(schema.enum)) throw invalid(at, '`enum` must be an array')
}

const TYPES: Readonly<Record<string, readonly KindName[]>> = {
  null: ['null'],
  boolean: ['true', 'false'],
  number: ['number'],
  integer: ['number'],
  string: ['string'],
  array: ['array'],
  object: ['object'],
}

/** What `type` says about a kind of values: all of them, none, or only whole numbers. */
export function typeSays(schema: JsonObject, kind: KindName, at: string): 'all' | 'none' | 'integers' {
  if (schema.type === undefined) return 'all'
  const types: readonly unknown[] = Array.isArray(schema.type) ? schema.type : [schema.type]
  for (const type of types)
    if (typeof type !== 'string' || !Object.hasOwn(TYPES, type))
      throw invalid(at, `\`type\` ${JSON.stringify(type)} is not one of ${Object.keys(TYPES).join(', ')}`)
  if (kind === 'null' && schema.nullable === true) return 'all'
  const named = (types as readonly string[]).filter((type) => TYPES[type]!.includes(kind))
  if (named.length === 0) return 'none'
  return named.includes('integer') && !named.includes('number') ? 'integers' : 'all'
}

/** The kind of a value. */
export function kindOf(value: unknown): KindName {
  if (value === null) return 'null'
  if (value === true) return 'true'
  if (value === false) return 'false'
  if (typeof value === 'number') return 'number'
  if (typeof value === 'string') return 'string'
  return Array.isArray(value) ? 'array' : 'object'
}

/** A schema that only this value fits. */
export function schemaOfValue(value: unknown): JsonObject {
  if (Array.isArray(value))
    return {
      type: 'array',
      prefixItems: value.map(schemaOfValue),
      minItems: value.length,
      maxItems: value.length,
    }
  if (typeof value !== 'object' || value === null) return { const: value }
  const entries = Object.entries(value).map(([name, item]) => [name, schemaOfValue(item)] as const)
  return {
    type: 'object',
    properties: Object.fromEntries(entries),
    required: Object.keys(value),
    additionalProperties: false,
  }
}

/** `const` and `enum`. */
export function valuesOf(schema: JsonObject): readonly (readonly unknown[])[] {
  const out: (readonly unknown[])[] = []
  if (schema.const !== undefined) out.push([schema.const])
  if (schema.enum !== undefined) out.push(schema.enum as readonly unknown[])
  return out
}

/** The schemas that a keyword lists; none where it is absent. @throws TroupeError `invalid_request` */
export function listOf(schema: JsonObject, key: string, at: string): readonly unknown[] {
  const value = schema[key]
  if (value === undefined) return []
  if (Array.isArray(value) && value.length > 0) return value as readonly unknown[]
  throw invalid(at, `\`${key}\` must be a list of schemas with at least one`)
}

/** Schemas that apply where a property is there, by its name. */
export function dependentSchemas(schema: JsonObject): readonly (readonly [string, unknown])[] {
  const older = Object.entries(isJsonObject(schema.dependencies) ? schema.dependencies : {})
  const newer = Object.entries(isJsonObject(schema.dependentSchemas) ? schema.dependentSchemas : {})
  return [...older.filter(([, value]) => !Array.isArray(value)), ...newer]
}
