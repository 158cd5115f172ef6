import { Type } from 'typebox'
import type { TSchema } from 'typebox'
import type { TenantLimits } from '../../../tenancy/limits.ts'
import { TenantLimitsSchema } from '../../../tenancy/limits.ts'

const NAMES = (Object.keys(TenantLimitsSchema.properties) as (keyof TenantLimits)[]).map(
  (name) => [name, name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)] as const,
)

/** A tenant's limits with the names of the wire. */
export const LimitsSchema = Type.Object(
  Object.fromEntries(NAMES.map(([name, wire]) => [wire, TenantLimitsSchema.properties[name] as TSchema])),
  {
    title: 'TenantLimits',
    description: 'What is left out is as the server’s settings say.',
    additionalProperties: false,
  },
)
type LimitsBody = Record<string, unknown>

/** Limits as they are written on the wire. */
export function limitsBody(limits: TenantLimits): LimitsBody {
  return Object.fromEntries(NAMES.flatMap(([name, wire]) => (limits[name] === undefined ? [] : [[wire, limits[name]]])))
}

/** What `limitsBody` wrote; the schema has checked it. */
export function limitsFrom(body: LimitsBody): TenantLimits {
  return Object.fromEntries(NAMES.flatMap(([name, wire]) => (body[wire] === undefined ? [] : [[name, body[wire]]])))
}
