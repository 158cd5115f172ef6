import { Type } from 'typebox'
import type { Static } from 'typebox'

/** What one tenant may use, and its share among others. What is absent is as the server's settings say. */
export const TenantLimitsSchema = Type.Object(
  {
    weight: Type.Optional(
      Type.Number({
        minimum: 0.01,
        maximum: 1000,
        description:
          'Share of the steps beside other tenants that have work: one of weight 2 gets twice the tokens of one of weight 1.',
      }),
    ),
    concurrentRequests: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Generation requests open at once.' }),
    ),
  },
  { additionalProperties: false },
)
export type TenantLimits = Readonly<Static<typeof TenantLimitsSchema>>
