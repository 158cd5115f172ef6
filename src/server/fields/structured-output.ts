import { Type } from 'typebox'
import { Maybe, Open } from '../wire/common.ts'
import type { FieldRule } from './rule.ts'
import { only, rulesOf } from './rule.ts'

/** Fields that hold the answer to a form, in every API that has them. */
export const StructuredOutputFields = {
  response_format: Maybe(Open({ type: Type.Literal('text') })),
}

/** The same in the field `text` of `/v1/responses`. */
export const ResponseTextFields = {
  format: Maybe(Open({ type: Type.Literal('text') })),
}

const openAi = rulesOf('OpenAI')
const vllm = rulesOf('vLLM')
const llamaCpp = rulesOf('llama.cpp')
const UNSUPPORTED = 'answers cannot be held to a form: leave it out and check the answer'

/** What cannot be honoured of them. */
export const STRUCTURED_OUTPUT_RULES: readonly FieldRule[] = [
  openAi.refused('tools[].function.strict', UNSUPPORTED, { harmless: only(false) }),
  openAi.refused('tools[].strict', UNSUPPORTED, { harmless: only(false) }),
  ...['structured_outputs', 'guided_json', 'guided_regex', 'guided_choice', 'guided_grammar'].map((field) =>
    vllm.refused(field, UNSUPPORTED),
  ),
  vllm.ignored('guided_decoding_backend', 'it belongs to `guided_json` and the like'),
  vllm.ignored('guided_whitespace_pattern', 'it belongs to `guided_json` and the like'),
  llamaCpp.refused('json_schema', UNSUPPORTED),
  llamaCpp.refused('grammar', UNSUPPORTED, { harmless: only('') }),
]
