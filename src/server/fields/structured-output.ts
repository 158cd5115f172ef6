import { Type } from 'typebox'
import { Maybe, Open } from '../wire/common.ts'
import type { FieldRule } from './rule.ts'
import { rulesOf } from './rule.ts'

const JsonSchema = Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Boolean()], {
  description: 'JSON Schema 2020-12; docs/structured-output.md says what is enforced.',
})
/** vLLM takes a schema as text too. */
const SchemaOrText = Type.Union([JsonSchema, Type.String()])
const Choices = Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 10_000 })

const Grammar = Type.String({ description: 'GBNF: the answer is what its rule `root` derives.' })

/** What the answer is to be. */
export const ResponseFormat = Type.Union(
  [
    Open({ type: Type.Literal('text') }),
    Open({ type: Type.Literal('json_object'), schema: Maybe(JsonSchema) }, { description: 'Any JSON object.' }),
    Open({
      type: Type.Literal('json_schema'),
      json_schema: Open({
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
export const StructuredOutputFields = {
  response_format: Maybe(ResponseFormat),
  structured_outputs: Maybe(
    Open(
      {
        json: Maybe(SchemaOrText),
        json_object: Maybe(Type.Boolean()),
        regex: Maybe(Type.String()),
        choice: Maybe(Choices),
        grammar: Maybe(Grammar),
        disable_any_whitespace: Maybe(Type.Boolean()),
      },
      { description: 'vLLM’s form: exactly one of `json`, `json_object`, `regex`, `choice` and `grammar`.' },
    ),
  ),
  guided_json: Maybe(SchemaOrText),
  guided_regex: Maybe(Type.String({ description: 'ECMAScript; the whole answer matches it.' })),
  guided_choice: Maybe(Choices),
  guided_grammar: Maybe(Grammar),
  json_schema: Maybe(JsonSchema),
  grammar: Maybe(Grammar),
}

/** The same in the field `text` of `/v1/responses`. */
export const ResponseTextFields = {
  format: Maybe(
    Type.Union([
      Open({ type: Type.Literal('text') }),
      Open({ type: Type.Literal('json_object') }),
      Open({
        type: Type.Literal('json_schema'),
        name: Maybe(Type.String()),
        description: Maybe(Type.String()),
        schema: JsonSchema,
        strict: Maybe(Type.Boolean({ description: 'Properties keep the order of the schema.' })),
      }),
    ]),
  ),
}

const vllm = rulesOf('vLLM')

/** What has no effect of them. */
export const STRUCTURED_OUTPUT_RULES: readonly FieldRule[] = [
  vllm.ignored('guided_decoding_backend', 'it belongs to `guided_json` and the like'),
  vllm.ignored('guided_whitespace_pattern', 'it belongs to `guided_json` and the like'),
]
