import { Type } from 'typebox'
import type { Static } from 'typebox'
export const TenantLimitsSchema = Type.Object({ weight: Type.Optional(Type.Number()) }, { additionalProperties: false })
export type TenantLimits = Readonly<Static<typeof TenantLimitsSchema>>
