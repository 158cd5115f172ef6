import { Type } from 'typebox'
import { Maybe, Open } from '../wire/common.ts'
import type { FieldRule } from './rule.ts'
import { only, rulesOf } from './rule.ts'

const JsonSchema = Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Boolean()], {
  description: 'JSON Schema 2020-12; docs/structured-output.md says what is enforced.',
})
/** vLLM takes a schema as text too. */
const SchemaOrText = Type.Union([JsonSchema, Type.String()])
const Choices = Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 10_000 })

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

const openAi = rulesOf('OpenAI')
const vllm = rulesOf('vLLM')
const llamaCpp = rulesOf('llama.cpp')
const NO_GRAMMARS = 'grammars are not supported: send a JSON Schema or a regular expression (docs/structured-output.md)'
const NO_STRICT_CALLS = 'calls are not held to their schema: leave it out and check the arguments'

/** What cannot be honoured of them. */
export const STRUCTURED_OUTPUT_RULES: readonly FieldRule[] = [
  openAi.refused('tools[].function.strict', NO_STRICT_CALLS, { harmless: only(false) }),
  openAi.refused('tools[].strict', NO_STRICT_CALLS, { harmless: only(false) }),
  vllm.refused('guided_grammar', NO_GRAMMARS),
  vllm.refused('structured_outputs.grammar', NO_GRAMMARS),
  vllm.ignored('guided_decoding_backend', 'it belongs to `guided_json` and the like'),
  vllm.ignored('guided_whitespace_pattern', 'it belongs to `guided_json` and the like'),
  llamaCpp.refused('grammar', NO_GRAMMARS, { harmless: only('') }),
]
