import type { Constraint } from '../core/constraint.ts'
import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isJsonObject } from '../core/json.ts'
import type { GrammarSpec } from '../grammar/grammar.ts'
import type { GenerationParts } from './ports.ts'

/** What an answer is to be, and the field that says so. */
export interface AnswerForm {
  readonly spec: GrammarSpec
  readonly field: string
  /** What of the answer stands at the end of the prompt; default nothing. */
  readonly begun?: string
}

/** Any JSON object: OpenAI's `json_object`. */
export const JSON_OBJECT: GrammarSpec = { type: 'schema', schema: { type: 'object' }, ordered: false, blanks: true }

/**
 * The form that a `response_format` asks for; null for `text`.
 *
 * @throws TroupeError `invalid_request` for another type, or `json_schema` without a schema
 */
export function responseForm(format: JsonObject, field: string): AnswerForm | null {
  switch (format.type) {
    case 'text':
      return null
    case 'json_object': {
      // Some clients send the schema along.
      const { schema } = format
      return { field, spec: isJsonObject(schema) ? schemaSpec(schema, false) : JSON_OBJECT }
    }
    case 'json_schema': {
      const named = format.json_schema
      const schema = isJsonObject(named) ? (named.schema ?? null) : (format.schema ?? null)
      if (!isJsonObject(schema) && typeof schema !== 'boolean')
        throw new TroupeError('invalid_request', `\`${field}.json_schema.schema\` must be a JSON Schema`, {
          param: field,
        })
      const strict = isJsonObject(named) ? named.strict === true : format.strict === true
      return {
        field: isJsonObject(named) ? `${field}.json_schema.schema` : `${field}.schema`,
        spec: schemaSpec(schema, strict),
      }
    }
    default:
      throw new TroupeError(
        'invalid_request',
        `\`${field}.type\` is ${JSON.stringify(format.type)}: send \`text\`, \`json_object\` or \`json_schema\``,
        { param: `${field}.type` },
      )
  }
}

/** Strict schemas fix the order of properties. */
export function schemaSpec(schema: unknown, strict: boolean, blanks = true): GrammarSpec {
  return { type: 'schema', schema, ordered: strict, blanks }
}

/**
 * Compiles a form for the engine.
 *
 * @throws TroupeError `invalid_request`, `unsupported_schema`, `schema_too_complex` or `overloaded`, naming the field
 */
export async function constrain(
  { grammars, text }: Pick<GenerationParts, 'grammars' | 'text'>,
  form: AnswerForm | null,
  tenant: string,
): Promise<Constraint | null> {
  if (!form) return null
  try {
    const compiled = await grammars.compile(form.spec, tenant)
    return { ...compiled, begun: form.begun ?? '', endTokens: text.eosIds }
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code === 'overloaded') throw error
    throw new TroupeError(error.code, `\`${form.field}\`: ${error.message}`, { param: form.field, cause: error })
  }
}
