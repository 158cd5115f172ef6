import type { FastifySchemaCompiler } from 'fastify'
import { Compile } from 'typebox/compile'
import { Value } from 'typebox/value'
import type { TSchema } from 'typebox'
import { explain } from './validation-message.ts'

/**
 * Validates requests against their TypeBox schemas: nothing is removed, filled in or coerced in a body; parameters and query strings,
 * which are text by nature, are converted to the types of their schema.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const compiled = Compile(schema)
  const text = httpPart !== 'body'
  return (value: unknown) => {
    const converted = text ? Value.Convert(schema, value) : value
    if (compiled.Check(converted)) return { value: converted }
    return { error: explain(schema, compiled.Errors(converted), httpPart ?? 'body') }
  }
}
