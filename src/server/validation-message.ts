import type { TSchema } from 'typebox'
import type { TLocalizedValidationError } from 'typebox/error'
import { TroupeError } from '../core/errors.ts'
import type { SchemaNode } from './fields/branch.ts'
import { branchesOf, isObject, meantBranch } from './fields/branch.ts'

const MAX_SHOWN = 80

/**
 * The most telling of a value's schema violations as an `invalid_request` that names the field, the value and what it has to be. Of a union
 * only the branch that was meant speaks.
 */
export function explain(
  schema: TSchema,
  errors: readonly TLocalizedValidationError[],
  part: string,
  value: unknown,
): TroupeError {
  if (value === undefined) return new TroupeError('invalid_request', `the ${part} is missing: send a JSON object`)
  const fault = findFault(schema as SchemaNode, value, '')
  if (fault) return refusal(fault, part)
  // What the walk does not know, the validator does.
  const first = errors[0]
  return new TroupeError('invalid_request', `the ${part} does not match its schema: ${first?.message ?? 'unknown'}`)
}

/** What is wrong, where: `path` as in `messages[0].content`. */
interface Fault {
  readonly path: string
  readonly problem: string
}

function refusal({ path, problem }: Fault, part: string): TroupeError {
  const subject = path === '' ? `the ${part}` : `\`${path}\``
  return new TroupeError('invalid_request', `${subject} ${problem}`, path === '' ? {} : { param: path })
}

/** Unknown fields first: a misspelt name explains a missing one. */
function findFault(node: SchemaNode, value: unknown, path: string): Fault | null {
  const options = branchesOf(node)
  if (options) return unionFault(node, options, value, path)
  const constants = constantsOf(node)
  const known = constants.length === 0 ? hasType(node, value) : constants.includes(value)
  if (!known) return { path, problem: `must be ${typeName(node)}, not ${shown(value)}` }
  if (isObject(value)) return objectFault(node, value, path)
  if (Array.isArray(value)) return arrayFault(node, value, path)
  const problem = scalarProblem(node, value)
  return problem === null ? null : { path, problem }
}

function unionFault(node: SchemaNode, options: readonly SchemaNode[], value: unknown, path: string): Fault | null {
  if (value === null && (node.anyOf as SchemaNode[]).some(({ type }) => type === 'null')) return null
  if (options.some((option) => findFault(option, value, path) === null)) return null
  const meant = meantBranch(options, value)
  if (meant) return withKinds(findFault(meant, value, path), options, value, path)
  return { path, problem: `must be ${typeName(node)}, not ${shown(value)}` }
}

/** A `type` that no branch knows is answered with all that there are. */
function withKinds(fault: Fault | null, options: readonly SchemaNode[], value: unknown, path: string): Fault | null {
  const kinds = options.flatMap((option) => {
    const kind = isObject(option.properties) ? (option.properties.type as SchemaNode | undefined) : undefined
    return kind ? constantsOf(kind) : []
  })
  if (!isObject(value) || kinds.length === 0 || !('type' in value) || kinds.includes(value.type)) return fault
  const known = kinds.map((kind) => JSON.stringify(kind)).join(', ')
  return { path: join(path, 'type'), problem: `is ${shown(value.type)}, which is not supported; known are ${known}` }
}

function objectFault(node: SchemaNode, value: Readonly<Record<string, unknown>>, path: string): Fault | null {
  const properties = (node.properties ?? {}) as Readonly<Record<string, SchemaNode>>
  if (node.additionalProperties === false) {
    const unknown = Object.keys(value).filter((name) => !Object.hasOwn(properties, name))
    if (unknown.length > 0) return unknownFields(unknown, path)
  }
  // What kind of object it is decides what else it must have.
  const present = Object.entries(properties).filter(([name]) => value[name] !== undefined)
  for (const [name, property] of present) {
    const fault = constantsOf(property).length > 0 ? findFault(property, value[name], join(path, name)) : null
    if (fault) return fault
  }
  const required = (node.required ?? []) as readonly string[]
  const missing = required.find((name) => value[name] === undefined)
  if (missing !== undefined) {
    const wanted = properties[missing] ? `: it must be ${typeName(properties[missing])}` : ''
    return { path: join(path, missing), problem: `is missing${wanted}` }
  }
  for (const [name, property] of present) {
    const fault = findFault(property, value[name], join(path, name))
    if (fault) return fault
  }
  return patternFault(node, value, path)
}

/** Objects with any names, of values of one form. */
function patternFault(node: SchemaNode, value: Readonly<Record<string, unknown>>, path: string): Fault | null {
  if (!isObject(node.patternProperties)) return null
  const patterns = Object.entries(node.patternProperties as Record<string, SchemaNode>)
  for (const [name, item] of Object.entries(value)) {
    const fitting = patterns.find(([pattern]) => new RegExp(pattern).test(name))
    if (!fitting) {
      if (node.additionalProperties !== false) continue
      return { path: join(path, name), problem: `must have a name that matches ${patterns[0]![0]}` }
    }
    const fault = findFault(fitting[1], item, join(path, name))
    if (fault) return fault
  }
  return null
}

function unknownFields(names: readonly string[], path: string): Fault {
  const [first = '', ...others] = names.map((name) => join(path, name))
  const more = others.length > 0 ? `; so ${others.length > 1 ? 'are' : 'is'} ${others.map((name) => `\`${name}\``).join(', ')}` : '' // prettier-ignore
  return { path: first, problem: `is an unknown field: remove it, it would have no effect${more}` }
}

function arrayFault(node: SchemaNode, value: readonly unknown[], path: string): Fault | null {
  const { minItems = 0, maxItems = Infinity } = node as { minItems?: number; maxItems?: number }
  if (value.length < minItems) return { path, problem: `must have at least ${minItems} items, not ${value.length}` }
  if (value.length > maxItems) return { path, problem: `must have at most ${maxItems} items, not ${value.length}` }
  const items = (node.items ?? {}) as SchemaNode
  for (const [i, item] of value.entries()) {
    const fault = findFault(items, item, `${path}[${i}]`)
    if (fault) return fault
  }
  return null
}

function scalarProblem(node: SchemaNode, value: unknown): string | null {
  if (typeof value === 'string') return textProblem(node, value)
  if (typeof value !== 'number') return null
  const { minimum, maximum, exclusiveMinimum } = node as Readonly<Record<string, number | undefined>>
  if (minimum !== undefined && value < minimum) return `is ${value}, it must be at least ${minimum}`
  if (maximum !== undefined && value > maximum) return `is ${value}, it must be at most ${maximum}`
  if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) return `is ${value}, it must be above ${exclusiveMinimum}` // prettier-ignore
  return null
}

function textProblem(node: SchemaNode, value: string): string | null {
  const { minLength = 0, maxLength = Infinity } = node as { minLength?: number; maxLength?: number }
  if (value.length < minLength) return minLength === 1 ? 'is empty' : `must have at least ${minLength} characters`
  if (value.length > maxLength) return `has ${value.length} characters, it must have at most ${maxLength}`
  if (typeof node.pattern !== 'string' || new RegExp(node.pattern).test(value)) return null
  const rule = typeof node.description === 'string' ? node.description : `it must match ${node.pattern}`
  return `is malformed (${shown(value)}): ${rule}`
}

function constantsOf(node: SchemaNode): readonly unknown[] {
  if ('const' in node) return [node.const]
  return Array.isArray(node.enum) ? (node.enum as unknown[]) : []
}

function hasType(node: SchemaNode, value: unknown): boolean {
  switch (node.type) {
    case 'object':
      return isObject(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isInteger(value)
    case 'number':
      return Number.isFinite(value)
    case 'null':
      return value === null
    case undefined:
      return true
    default:
      return typeof value === node.type
  }
}

/** `a string or an array of strings`: the type a schema describes, in words. */
function typeName(node: SchemaNode): string {
  const options = branchesOf(node)
  if (options) return [...new Set(options.map(typeName))].join(' or ')
  const constants = constantsOf(node)
  if (constants.length === 1) return JSON.stringify(constants[0])
  if (constants.length > 1) return `one of ${constants.map((value) => JSON.stringify(value)).join(', ')}`
  if (node.type === 'array') return `an array of ${plural((node.items ?? {}) as SchemaNode)}`
  if (node.type === 'object' || node.type === 'integer') return `an ${node.type}`
  return typeof node.type === 'string' ? `a ${node.type}` : 'a value of another type'
}

function plural(node: SchemaNode): string {
  const options = branchesOf(node)
  if (options) return [...new Set(options.map(plural))].join(' or ')
  if (node.type === 'array') return `arrays of ${plural((node.items ?? {}) as SchemaNode)}`
  return typeof node.type === 'string' ? `${node.type}s` : 'values'
}

/** A value as it was sent, cut to a readable length. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : `an array (${cut(JSON.stringify(value))})`
  if (isObject(value)) return `an object (${cut(JSON.stringify(value))})`
  return value === undefined ? 'nothing' : cut(JSON.stringify(value))
}

function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`
}
