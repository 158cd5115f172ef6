import { Type } from 'typebox'
import { NAME_PART_PATTERN } from '../../catalogue/names.ts'
import { TroupeError } from '../../core/errors.ts'
import { Shape } from '../../core/shape.ts'
import type { Book } from '../../store/record.ts'
import { recordKind } from '../../store/record.ts'
import { KeySchema, TenantSchema } from './state.ts'
import type { TenantsState } from './state.ts'

const MAX_TENANTS = 100_000
const MAX_KEYS_OF_TENANT = 1_000
export const MAX_DESCRIPTION = 4_096
export const MAX_LABEL = 256

const Id = KeySchema.properties.id
const ExpiresAt = KeySchema.properties.expiresAt
const NAME = new RegExp(NAME_PART_PATTERN)

const SavedSchema = Type.Object({
  tenants: Type.Array(TenantSchema),
  keys: Type.Array(KeySchema),
  retired: Type.Array(
    Type.Object({ ...KeySchema.properties, reason: Type.Enum(['revoked', 'tenant deleted'] as const) }),
  ),
  deleted: Type.Array(Type.String()),
  hasHadKeys: Type.Boolean(),
})
const savedShape = new Shape(SavedSchema, 'tenants')

/** All types of records about tenants and their keys: what each holds, when it may be, what it does to `state`. */
export function tenantsBook(state: TenantsState): Book {
  return {
    name: 'tenants',
    kinds: { ...tenantKinds(state), ...keyKinds(state) },
    save: () => ({
      tenants: [...state.tenants.values()],
      keys: [...state.keys.values()],
      retired: [...state.retired.values()],
      deleted: [...state.deleted],
      hasHadKeys: state.hasHadKeys,
    }),
    load: (json) => {
      // A snapshot from before there were tenants says nothing about them.
      if (json === undefined) return
      const saved = savedShape.check(json, 'storage_error')
      for (const tenant of saved.tenants) state.putTenant(tenant)
      for (const key of saved.keys) state.putKey(key)
      for (const key of saved.retired) state.remember(key)
      for (const name of saved.deleted) state.deleted.add(name)
      state.hasHadKeys = saved.hasHadKeys
    },
  }
}

function tenantKinds(state: TenantsState): Book['kinds'] {
  const { name, description, limits } = TenantSchema.properties
  return {
    'tenant.put': recordKind(Type.Object({ name, description, limits }), {
      check: (tenant) => {
        if (!NAME.test(tenant.name)) throw badName(tenant.name)
        if (tenant.description.length > MAX_DESCRIPTION)
          throw new TroupeError('invalid_request', `a description has at most ${MAX_DESCRIPTION} characters`)
        if (!state.tenants.has(tenant.name) && state.tenants.size >= MAX_TENANTS)
          throw conflict(`there are ${MAX_TENANTS} tenants already: delete some first`)
      },
      apply: (tenant, { at }) =>
        state.putTenant({ ...tenant, createdAt: state.tenants.get(tenant.name)?.createdAt ?? at, updatedAt: at }),
    }),

    /** With all its keys. */
    'tenant.deleted': recordKind(Type.Object({ tenant: Type.String() }), {
      check: ({ tenant }) => void state.tenant(tenant),
      apply: ({ tenant }) => state.deleteTenant(tenant),
    }),
  }
}

function keyKinds(state: TenantsState): Book['kinds'] {
  const added = Type.Omit(KeySchema, ['createdAt']).properties
  const replaces = Type.Union([Type.Object({ id: Id, until: Type.String() }), Type.Null()])
  return {
    /** A new key; where it replaces one, that one is accepted until then. */
    'key.added': recordKind(Type.Object({ ...added, replaces }), {
      check: ({ tenant, id, role, label, expiresAt, replaces: former }) => {
        state.tenant(tenant)
        checkKeyFields(label, expiresAt)
        if (state.keys.has(id) || state.retired.has(id)) throw conflict(`there is a key ${id}`)
        if (former) state.key(tenant, former.id)
        if (!state.hasHadKeys && role !== 'admin')
          throw new TroupeError(
            'invalid_request',
            `the first key of a store must be of the role admin, not ${role}: the server asks for keys from then on, and only admins make more`,
            { param: 'role' },
          )
        if (state.keysOf(tenant).length >= MAX_KEYS_OF_TENANT)
          throw conflict(`tenant "${tenant}" has ${MAX_KEYS_OF_TENANT} keys: revoke some first`)
      },
      apply: ({ replaces: former, ...key }, { at }) => {
        state.putKey({ ...key, createdAt: at })
        if (!former) return
        const replaced = state.key(key.tenant, former.id)
        const { expiresAt } = replaced
        const isSooner = expiresAt !== null && Date.parse(expiresAt) < Date.parse(former.until)
        state.putKey({ ...replaced, expiresAt: isSooner ? expiresAt : former.until })
      },
    }),

    'key.changed': recordKind(
      Type.Object({ tenant: Type.String(), id: Id, label: Type.String(), expiresAt: ExpiresAt }),
      {
        check: ({ tenant, id, label, expiresAt }) => {
          state.key(tenant, id)
          checkKeyFields(label, expiresAt)
        },
        apply: ({ tenant, id, label, expiresAt }) => state.putKey({ ...state.key(tenant, id), label, expiresAt }),
      },
    ),

    'key.revoked': recordKind(Type.Object({ tenant: Type.String(), id: Id }), {
      check: ({ tenant, id }) => void state.key(tenant, id),
      apply: ({ id }) => state.retireKey(id, 'revoked'),
    }),
  }
}

function checkKeyFields(label: string, expiresAt: string | null): void {
  if (label.length > MAX_LABEL)
    throw new TroupeError('invalid_request', `a label has at most ${MAX_LABEL} characters`, { param: 'label' })
  if (expiresAt !== null && Number.isNaN(Date.parse(expiresAt)))
    throw new TroupeError(
      'invalid_request',
      `${JSON.stringify(expiresAt)} is no time; write one as 2027-01-31T12:00:00Z`,
      {
        param: 'expires_at',
      },
    )
}

function badName(name: string): TroupeError {
  const rule = 'up to 63 lower-case letters, digits, ".", "_" and "-", beginning with a letter or digit'
  return new TroupeError('invalid_request', `${JSON.stringify(name.slice(0, 140))} cannot name a tenant: use ${rule}`, {
    param: 'tenant',
  })
}

function conflict(message: string): TroupeError {
  return new TroupeError('conflict', message)
}
