import { Type } from 'typebox'
import { Maybe, Open } from './common.ts'

/** Most alternatives per token. */
export const MAX_TOP_LOGPROBS = 20

/** What OpenAI's completions and chat completions share. */
export const OpenAiFields = {
  model: Type.String({
    minLength: 1,
    description: 'A task, an adapter `name`, `name@v3` or `name@sha256:…`, or the base model.',
  }),
  stream: Maybe(Type.Boolean()),
  stream_options: Maybe(Open({ include_usage: Maybe(Type.Boolean()) })),
  user: Maybe(Type.String({ description: 'Stands in for `sticky_key`. Tenants are told apart by their keys.' })),
  return_token_ids: Maybe(
    Type.Boolean({ description: 'Also report the ids of prompt and answer, the ending token included.' }),
  ),
  return_tokens_as_token_ids: Maybe(
    Type.Boolean({ description: 'Write tokens of log-probabilities as `token_id:123`.' }),
  ),
  prompt_logprobs: Maybe(
    Type.Integer({
      minimum: 0,
      maximum: MAX_TOP_LOGPROBS,
      description: 'Also report the log-probabilities of the prompt’s tokens, with so many alternatives.',
    }),
  ),
}

/** Log-probabilities of a prompt's tokens, by token id, as vLLM writes them; the first token has no predecessor. */
export const PromptLogprobs = Type.Array(
  Type.Union([
    Type.Record(
      Type.String(),
      Type.Object(
        {
          logprob: Type.Number(),
          rank: Type.Union([Type.Integer(), Type.Null()], {
            description: 'Its place among all tokens, from 1 on.',
          }),
          decoded_token: Type.String(),
        },
        { additionalProperties: false },
      ),
    ),
    Type.Null(),
  ]),
)
