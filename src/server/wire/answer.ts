import { Type } from 'typebox'
import { Strict } from './common.ts'

export const UsageSchema = Strict(
  {
    prompt_tokens: Type.Integer(),
    completion_tokens: Type.Integer(),
    total_tokens: Type.Integer(),
    prompt_tokens_details: Strict({
      cached_tokens: Type.Integer({
        description: 'Prompt tokens, over all sequences, that an earlier request had evaluated.',
      }),
    }),
  },
  { title: 'Usage' },
)

export const ProvenanceSchema = Strict(
  {
    base: Strict({ model: Type.String(), fingerprint: Type.String(), precision: Type.String() }),
    adapters: Type.Array(
      Strict({
        name: Type.String(),
        version: Type.String({ description: '`v1`, `v2` …' }),
        digest: Type.String(),
        scale: Type.Number(),
        tier: Type.Enum(['hot', 'warm', 'cold'], {
          description: 'Where the weights were: on the device, in memory, in the store.',
        }),
      }),
    ),
    queue_ms: Type.Number({ description: 'Milliseconds until the first sequence ran.' }),
    load_ms: Type.Number({ description: 'Milliseconds spent bringing weights in.' }),
  },
  { title: 'Provenance', description: 'Which weights made the answer, and where they came from.' },
)

export const FinishReasonSchema = Type.Enum(['stop', 'length'], {
  description: '`stop`: an ending token or a stop text; `length`: `max_tokens` or the context was reached.',
})

/**
 * A `200` that is JSON. With `stream: true` it is server-sent events instead, which the description says in words only: a second media type
 * would make every generated client's answer a union with `string`.
 */
export function AnswerContent<T extends object>(schema: T, title: string) {
  return {
    description: `${title} With \`stream: true\` the answer is \`text/event-stream\`: events of a chunk each.`,
    content: { 'application/json': { schema } },
  }
}
