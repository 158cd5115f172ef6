import type { TSchema } from 'typebox'
import type { TLocalizedValidationError } from 'typebox/error'
import { TroupeError } from '../core/errors.ts'

/** Fields clients of other servers send, with the reason why they are refused here. */
const REFUSED_FIELDS: Readonly<Record<string, string>> = {
  parallel_tool_calls: 'an answer is not limited to one call of a tool',
  functions: 'send `tools` instead',
  function_call: 'send `tool_choice` instead',
  suffix: 'insertion is not supported: put all text into `prompt`',
  guided_json: 'constrained decoding is not supported',
  guided_regex: 'constrained decoding is not supported',
  use_beam_search: 'beam search is not supported',
  model: 'the path already names the task',
}

/** What a JSON Schema keyword node looks like from here. */
type SchemaNode = Readonly<Record<string, unknown>>

/** The most telling of a value's schema violations as an `invalid_request` that names the field. */
export function explain(schema: TSchema, errors: readonly TLocalizedValidationError[], part: string): TroupeError {
  const telling = withoutBranches(schema as SchemaNode, errors)
  const unknown = telling.find((error) => error.keyword === 'additionalProperties')
  if (unknown) return unknownField(unknown, part)
  const first = telling.find((error) => error.keyword !== 'boolean') ?? telling[0]
  if (!first) return new TroupeError('invalid_request', `the ${part} does not match its schema`)
  if (first.keyword === 'required') {
    const names = first.params.requiredProperties
    const field = joinField(fieldName(first.instancePath), names[0] ?? '')
    return new TroupeError('invalid_request', `\`${field}\` is missing`, { param: field })
  }
  const field = fieldName(first.instancePath)
  const subject = field === '' ? `the ${part === 'body' ? 'body' : part}` : `\`${field}\``
  return new TroupeError(
    'invalid_request',
    `${subject} ${demand(schema as SchemaNode, first)}`,
    field === '' ? {} : { param: field },
  )
}

function unknownField(error: TLocalizedValidationError, part: string): TroupeError {
  const names = (error.params as { additionalProperties: string[] }).additionalProperties
  const fields = names.map((name) => joinField(fieldName(error.instancePath), name))
  const reason = names.map((name) => REFUSED_FIELDS[name]).find((text) => text !== undefined)
  const list = fields.map((field) => `\`${field}\``).join(', ')
  const where = part === 'body' ? '' : ` in the ${part}`
  const message = `unknown field${fields.length > 1 ? 's' : ''} ${list}${where}: ${reason ?? 'remove it, it would have no effect'}`
  return new TroupeError('invalid_request', message, fields[0] === undefined ? {} : { param: fields[0] })
}

/**
 * Leaves out what single branches of a union say, unless only one branch was meant: then the union's own error is left out.
 * `null` branches never count: `null` always means "not given".
 */
function withoutBranches(
  schema: SchemaNode,
  errors: readonly TLocalizedValidationError[],
): readonly TLocalizedValidationError[] {
  let kept = errors
  for (const union of errors.filter((error) => error.keyword === 'anyOf')) {
    const options = (nodeAt(schema, union.schemaPath)?.anyOf ?? []) as SchemaNode[]
    const meant = options.map((option, i) => ({ option, i })).filter(({ option }) => option.type !== 'null')
    const prefix = `${union.schemaPath}/anyOf/`
    const only = meant.length === 1 ? `${prefix}${meant[0]?.i}` : null
    kept = kept.filter((error) => {
      if (only === null) return !error.schemaPath.startsWith(prefix)
      return error !== union && (!error.schemaPath.startsWith(prefix) || isWithin(error.schemaPath, only))
    })
  }
  return kept
}

function isWithin(path: string, parent: string): boolean {
  return path === parent || path.startsWith(`${parent}/`)
}

/** What the value has to be, in words. */
function demand(schema: SchemaNode, error: TLocalizedValidationError): string {
  const node = nodeAt(schema, error.schemaPath)
  switch (error.keyword) {
    case 'anyOf':
    case 'type':
    case 'const':
    case 'enum':
      return node ? `must be ${typeName(node)}` : error.message
    case 'pattern':
      return typeof node?.description === 'string' ? `is malformed: ${node.description}` : error.message
    default:
      return error.message
  }
}

/** `a string, an array of strings …`: the type a schema describes, in words. */
function typeName(node: SchemaNode): string {
  if (Array.isArray(node.anyOf)) {
    const options = (node.anyOf as SchemaNode[]).filter((option) => option.type !== 'null')
    return [...new Set(options.map(typeName))].join(' or ')
  }
  if ('const' in node) return JSON.stringify(node.const)
  if (Array.isArray(node.enum)) return `one of ${node.enum.map((value) => JSON.stringify(value)).join(', ')}`
  if (node.type === 'array') return `an array of ${typeName((node.items ?? {}) as SchemaNode).replace(/^an? /, '')}s`
  if (node.type === 'object' || node.type === 'integer') return `an ${node.type}`
  return typeof node.type === 'string' ? `a ${node.type}` : 'a value of another type'
}

/** Follows `#/properties/prompt/anyOf/1` into the schema. */
function nodeAt(schema: SchemaNode, path: string): SchemaNode | null {
  let node: unknown = schema
  for (const key of path.split('/').slice(1)) node = (node as Record<string, unknown> | undefined)?.[key]
  return node !== null && typeof node === 'object' ? (node as SchemaNode) : null
}

/** `/messages/0/role` → `messages[0].role`. */
function fieldName(instancePath: string): string {
  return instancePath
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, key) => (/^\d+$/.test(key) ? `${path}[${key}]` : joinField(path, key)), '')
}

function joinField(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`
}
