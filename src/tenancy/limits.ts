import { Type } from 'typebox'
import type { Static } from 'typebox'

const count = (description: string) => Type.Optional(Type.Integer({ minimum: 0, description }))

/** What a tenant may use, and its share of what all use. Every field may be left out: then the server's settings hold. */
export const TenantLimitsSchema = Type.Object(
  {
    weight: Type.Optional(
      Type.Number({
        minimum: 0.01,
        maximum: 1_000,
        description: 'Share of the steps beside other tenants; default 1.',
      }),
    ),
    requestsPerMinute: count('Requests within a minute.'),
    tokensPerMinute: count('Tokens of prompts and answers within a minute.'),
    concurrentRequests: count('Requests open at once.'),
    concurrentSequences: count('Sequences that run at once.'),
    queuedSequences: count('Sequences that wait at once.'),
    adapters: count('Adapters that it owns.'),
    storeBytes: count('Bytes of its versions in the store.'),
    memoryBytes: count('Bytes of its versions in the memory tier.'),
    pins: count('Adapters and tasks that it pins.'),
    contextTokens: count('Prompt and answer of one sequence together, in tokens.'),
    outputTokens: count('Tokens of one answer.'),
    uploadBytes: count('Bytes of one upload.'),
    evaluations: count('Evaluations that run at once.'),
  },
  { additionalProperties: false },
)
export type TenantLimits = Readonly<Static<typeof TenantLimitsSchema>>
