import { Type } from 'typebox'
import type { Static } from 'typebox'
import { ROLES } from '../../../tenancy/roles.ts'
import { MAX_DESCRIPTION, MAX_LABEL } from '../../../tenancy/tenants/book.ts'
import type { Key, Tenant } from '../../../tenancy/tenants/state.ts'
import { NextSchema } from '../../wire/paging.ts'
import { Strict, TenantName } from '../../wire/common.ts'
import { limitsBody, LimitsSchema } from './limits.ts'

const Time = Type.String({ format: 'date-time' })
const ExpiresAt = Type.Union([Time, Type.Null()], { description: 'From then on the key is refused; null = never.' })

export const byTenant = Strict({ tenant: TenantName })
export const byKey = Strict({
  tenant: TenantName,
  key: Type.String({ pattern: '^[0-9a-f]{12}$', description: 'The public part of the key, between the underscores.' }),
})

export const TenantBodySchema = Strict(
  {
    description: Type.Optional(Type.String({ maxLength: MAX_DESCRIPTION })),
    limits: Type.Optional(LimitsSchema),
  },
  {
    title: 'TenantRequest',
    description: 'Fields left out keep their value; `limits` replaces all limits there are.',
    examples: [{ description: 'Invoices of Acme', limits: { weight: 2, concurrent_requests: 32 } }],
  },
)

/** One schema per description it is used under. */
export function TenantSchema(description = 'The tenant.') {
  return Strict(
    {
      tenant: Type.String(),
      description: Type.String(),
      limits: LimitsSchema,
      keys: Type.Integer({ description: 'Keys in the store that were not revoked.' }),
      created_at: Type.String(),
      updated_at: Type.String(),
    },
    { title: 'Tenant', description },
  )
}

export const TenantListSchema = Strict(
  { data: Type.Array(TenantSchema()), next: NextSchema },
  { title: 'TenantList', description: 'One page; `next` is null on the last one.' },
)

const KeyProperties = {
  id: Type.String({ description: 'The public part of the key.' }),
  tenant: Type.String(),
  role: Type.Enum([...ROLES]),
  label: Type.String(),
  created_at: Type.String(),
  expires_at: ExpiresAt,
  expired: Type.Boolean(),
}

export const KeySchema = Strict(KeyProperties, { title: 'Key', description: 'A key without its secret.' })

export const KeyListSchema = Strict(
  { data: Type.Array(KeySchema), next: NextSchema },
  { title: 'KeyList', description: 'One page; `next` is null on the last one.' },
)

/** A key as the answer to its making. */
export const NewKeySchema = Strict(
  { ...KeyProperties, key: Type.String({ description: 'The whole key. It is shown this once and kept nowhere.' }) },
  { title: 'NewKey' },
)

export const KeyBodySchema = Strict(
  {
    role: Type.Enum([...ROLES]),
    label: Type.Optional(Type.String({ maxLength: MAX_LABEL, description: 'What it is for.' })),
    expires_at: Type.Optional(ExpiresAt),
  },
  { title: 'KeyRequest', examples: [{ role: 'admin', label: 'Deployment' }] },
)

export const KeyPatchSchema = Strict(
  { label: Type.Optional(Type.String({ maxLength: MAX_LABEL })), expires_at: Type.Optional(ExpiresAt) },
  {
    title: 'KeyPatch',
    description: 'Fields left out stay as they are. A time that is over ends the key at once.',
    examples: [{ label: 'Deployment in May' }],
  },
)

export const RotateBodySchema = Strict(
  {
    grace_seconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 31_536_000,
        description: 'How long the former key is accepted; default 3600.',
      }),
    ),
  },
  { title: 'RotateRequest', examples: [{ grace_seconds: 43_200 }] },
)

/** A tenant as it is written on the wire. */
export function tenantBody(
  { name, description, limits, createdAt, updatedAt }: Tenant,
  keys: number,
): Static<ReturnType<typeof TenantSchema>> {
  return { tenant: name, description, limits: limitsBody(limits), keys, created_at: createdAt, updated_at: updatedAt }
}

/** A key as it is written on the wire. */
export function keyBody({ id, tenant, role, label, createdAt, expiresAt }: Key): Static<typeof KeySchema> {
  const expired = expiresAt !== null && Date.parse(expiresAt) <= Date.now()
  return { id, tenant, role, label, created_at: createdAt, expires_at: expiresAt, expired }
}
