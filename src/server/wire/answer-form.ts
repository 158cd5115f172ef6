import type { Static, TObject } from 'typebox'
import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import type { AnswerForm } from '../../generation/answer-form.ts'
import { JSON_OBJECT, responseForm, schemaSpec } from '../../generation/answer-form.ts'
import type { TaskRecord } from '../../catalogue/task.ts'
import type { StructuredOutputFields } from '../fields/structured-output.ts'

type FormBody = Omit<Static<TObject<typeof StructuredOutputFields>>, 'response_format'> & {
  /** OpenAI's field, under its name of the API. */
  readonly response_format?: JsonObject | null
}

/**
 * What the answer of a request is held to: what the request says, else what its task presets; null = nothing.
 *
 * @param formatField the name of `response_format` in the API
 * @throws TroupeError `invalid_request` when the request says it twice
 */
export function answerForm(
  body: FormBody,
  task: TaskRecord | null,
  formatField = 'response_format',
): AnswerForm | null {
  const forms = [...requestForms(body, formatField)]
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

function* requestForms(body: FormBody, formatField: string): Generator<AnswerForm> {
  const { response_format: format, structured_outputs: outputs } = body
  const form = format ? responseForm(format, formatField) : null
  if (form) yield form
  const schema = (value: unknown, field: string, blanks = true): AnswerForm => ({
    field,
    spec: schemaSpec(parsed(value, field), false, blanks),
  })
  if (outputs) {
    const given = (['json', 'json_object', 'regex', 'choice', 'grammar'] as const).filter(
      (key) => outputs[key] !== undefined && outputs[key] !== null && outputs[key] !== false,
    )
    if (given.length !== 1)
      throw new TroupeError(
        'invalid_request',
        '`structured_outputs` needs exactly one of `json`, `json_object`, `regex`, `choice` and `grammar`',
        {
          param: 'structured_outputs',
        },
      )
    const blanks = !(outputs.disable_any_whitespace ?? false)
    const field = `structured_outputs.${given[0]!}`
    if (given[0] === 'json') yield schema(outputs.json, field, blanks)
    if (given[0] === 'json_object') yield { field, spec: { ...JSON_OBJECT, blanks } as AnswerForm['spec'] }
    if (given[0] === 'regex') yield { field, spec: { type: 'regex', pattern: outputs.regex! } }
    if (given[0] === 'grammar') yield { field, spec: { type: 'grammar', text: outputs.grammar! } }
    if (given[0] === 'choice') yield { field, spec: { type: 'choice', choices: outputs.choice! } }
  }
  const { guided_json: json, guided_regex: pattern, guided_choice: choices, json_schema: own } = body
  for (const field of ['guided_grammar', 'grammar'] as const)
    if (body[field]) yield { field, spec: { type: 'grammar', text: body[field] } }
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
