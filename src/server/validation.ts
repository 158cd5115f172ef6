import type { FastifySchemaCompiler } from 'fastify'
import { Compile } from 'typebox/compile'
import type { TSchema } from 'typebox'
import { isObject } from './fields/branch.ts'
import type { SchemaNode } from './fields/branch.ts'
import { explain } from './validation-message.ts'

/**
 * Validates requests against their TypeBox schemas: nothing is removed, filled in or coerced in a body; parameters and query strings,
 * which are text by nature, are read as the numbers and truth values their schema asks for, where they are written as such.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const compiled = Compile(schema)
  const text = httpPart !== 'body'
  return (value: unknown) => {
    const read = text ? readTexts(schema as SchemaNode, value) : value
    if (compiled.Check(read)) return { value: read }
    return { error: explain(schema, compiled.Errors(read), httpPart ?? 'body', read) }
  }
}

const INTEGER = /^-?\d{1,15}$/
const NUMBER = /^-?\d{1,15}(\.\d{1,15})?(e[+-]?\d{1,3})?$/i

function readTexts(schema: SchemaNode, value: unknown): unknown {
  if (!isObject(value) || !isObject(schema.properties)) return value
  const { properties } = schema
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, readText(properties[name] as SchemaNode | undefined, item)]),
  )
}

function readText(node: SchemaNode | undefined, text: unknown): unknown {
  if (typeof text !== 'string') return text
  if (node?.type === 'integer' && INTEGER.test(text)) return Number(text)
  if (node?.type === 'number' && NUMBER.test(text)) return Number(text)
  if (node?.type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  return text
}
