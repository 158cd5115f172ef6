import { Type } from 'typebox'
import type { Static, TObject } from 'typebox'
import { TroupeError } from '../../core/errors.ts'
import type { AnswerForm } from '../../generation/answer-form.ts'
import { JSON_OBJECT, responseForm, schemaSpec } from '../../generation/answer-form.ts'
import type { TaskRecord } from '../../registry/records.ts'
import { Maybe, Strict } from './common.ts'

const JsonSchema = Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Boolean()], {
  description: 'JSON Schema 2020-12; docs/structured-output.md says what is enforced.',
})
/** vLLM takes a schema as text too. */
const SchemaOrText = Type.Union([JsonSchema, Type.String()])
const Choices = Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 10_000 })

/** What the answer is to be. */
export const ResponseFormat = Type.Union(
  [
    Strict({ type: Type.Literal('text') }),
    Strict({ type: Type.Literal('json_object'), schema: Maybe(JsonSchema) }, { description: 'Any JSON object.' }),
    Strict({
      type: Type.Literal('json_schema'),
      json_schema: Strict({
        name: Maybe(Type.String()),
        description: Maybe(Type.String()),
        schema: JsonSchema,
        strict: Maybe(Type.Boolean({ description: 'Properties keep the order of the schema.' })),
      }),
    }),
  ],
  { description: 'The answer is held to it, token by token. `text` lifts what a task presets.' },
)

/** The ways in which clients say what an answer is to be: OpenAI's, vLLM's and llama.cpp's. */
export const AnswerFormFields = {
  response_format: Maybe(ResponseFormat),
  structured_outputs: Maybe(
    Strict(
      {
        json: Maybe(SchemaOrText),
        json_object: Maybe(Type.Boolean()),
        regex: Maybe(Type.String()),
        choice: Maybe(Choices),
        disable_any_whitespace: Maybe(Type.Boolean()),
      },
      { description: 'vLLM’s form: exactly one of `json`, `json_object`, `regex` and `choice`.' },
    ),
  ),
  guided_json: Maybe(SchemaOrText),
  guided_regex: Maybe(Type.String({ description: 'ECMAScript; the whole answer matches it.' })),
  guided_choice: Maybe(Choices),
  json_schema: Maybe(JsonSchema),
}

export type AnswerFormBody = Static<TObject<typeof AnswerFormFields>>

/**
 * What the answer of a request is held to: what the request says, else what its task presets; null = nothing.
 *
 * @throws TroupeError `invalid_request` when the request says it twice
 */
export function answerForm(body: AnswerFormBody, task: TaskRecord | null): AnswerForm | null {
  const forms = [...requestForms(body)]
  const [first, second] = forms
  if (second)
    throw new TroupeError(
      'invalid_request',
      `\`${first!.field}\` and \`${second.field}\` both say what the answer is to be: send one of them`,
      {
        param: second.field,
      },
    )
  if (first) return first
  const preset = task?.defaults.response_format
  return body.response_format || !preset ? null : responseForm(preset, 'defaults.response_format')
}

function* requestForms(body: AnswerFormBody): Generator<AnswerForm> {
  const { response_format: format, structured_outputs: outputs } = body
  const form = format ? responseForm(format, 'response_format') : null
  if (form) yield form
  const schema = (value: unknown, field: string, blanks = true): AnswerForm => ({
    field,
    spec: schemaSpec(parsed(value, field), false, blanks),
  })
  if (outputs) {
    const given = (['json', 'json_object', 'regex', 'choice'] as const).filter(
      (key) => outputs[key] !== undefined && outputs[key] !== null && outputs[key] !== false,
    )
    if (given.length !== 1)
      throw new TroupeError(
        'invalid_request',
        '`structured_outputs` needs exactly one of `json`, `json_object`, `regex` and `choice`',
        {
          param: 'structured_outputs',
        },
      )
    const blanks = !(outputs.disable_any_whitespace ?? false)
    const field = `structured_outputs.${given[0]!}`
    if (given[0] === 'json') yield schema(outputs.json, field, blanks)
    if (given[0] === 'json_object') yield { field, spec: { ...JSON_OBJECT, blanks } as AnswerForm['spec'] }
    if (given[0] === 'regex') yield { field, spec: { type: 'regex', pattern: outputs.regex! } }
    if (given[0] === 'choice') yield { field, spec: { type: 'choice', choices: outputs.choice! } }
  }
  const { guided_json: json, guided_regex: pattern, guided_choice: choices, json_schema: own } = body
  if (json !== undefined && json !== null) yield schema(json, 'guided_json')
  if (typeof pattern === 'string') yield { field: 'guided_regex', spec: { type: 'regex', pattern } }
  if (choices) yield { field: 'guided_choice', spec: { type: 'choice', choices } }
  if (own !== undefined && own !== null) yield schema(own, 'json_schema')
}

/** A schema, perhaps written as text. */
function parsed(value: unknown, field: string): unknown {
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value)
  } catch {
    throw new TroupeError('invalid_request', `\`${field}\` is text that is no JSON`, { param: field })
  }
}
