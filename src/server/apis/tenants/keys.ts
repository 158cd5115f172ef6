import { Type } from 'typebox'
import type { NewKey } from '../../../tenancy/tenants/changes.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { errorResponses, Strict } from '../../wire/common.ts'
import { originOf } from '../../wire/origin.ts'
import { pageOf, pageQuery } from '../../wire/paging.ts'
import {
  byKey,
  byTenant,
  keyBody,
  KeyBodySchema,
  KeyListSchema,
  KeyPatchSchema,
  KeySchema,
  NewKeySchema,
  RotateBodySchema,
} from './schema.ts'

const DEFAULT_GRACE_SECONDS = 3_600
const tags = ['tenants']

const schemas = {
  list: {
    operationId: 'listKeys',
    tags,
    summary: 'List a tenant’s keys, without their secrets, oldest first',
    params: byTenant,
    querystring: Strict(pageQuery),
    response: { 200: KeyListSchema, ...errorResponses(400, 401, 403, 404) },
  },
  create: {
    operationId: 'createKey',
    tags,
    summary: 'Make a key for a tenant',
    description:
      'The first key of a store closes its servers, on all of which a key is needed from then on: it must be of the role admin.',
    params: byTenant,
    body: KeyBodySchema,
    response: { 201: NewKeySchema, ...errorResponses(400, 401, 403, 404, 409, 415, 500) },
  },
  change: {
    operationId: 'changeKey',
    tags,
    summary: 'Change a key’s label, or until when it is accepted',
    params: byKey,
    body: KeyPatchSchema,
    response: { 200: KeySchema, ...errorResponses(400, 401, 403, 404, 409, 415, 500) },
  },
  rotate: {
    operationId: 'rotateKey',
    tags,
    summary: 'Make a key in the place of another, which is accepted for some time yet',
    params: byKey,
    body: RotateBodySchema,
    response: { 201: NewKeySchema, ...errorResponses(400, 401, 403, 404, 409, 415, 500) },
  },
  revoke: {
    operationId: 'revokeKey',
    tags,
    summary: 'Revoke a key: new requests with it are refused at once, running ones finish',
    params: byKey,
    response: {
      204: { ...Type.Null(), description: 'It is refused, on every server within two seconds.' },
      ...errorResponses(400, 401, 403, 404, 409, 500),
    },
  },
}

/** `/v1/tenants/{tenant}/keys …` */
export function keyRoutes(app: App, { tenants, tenantChanges }: ServerDeps): void {
  app.get('/v1/tenants/:tenant/keys', { schema: schemas.list }, async ({ params, query }) => {
    tenants.tenant(params.tenant)
    const { data, next } = pageOf(tenants.keysOf(params.tenant), ({ createdAt, id }) => `${createdAt} ${id}`, query)
    return { data: data.map(keyBody), next }
  })

  app.post('/v1/tenants/:tenant/keys', { schema: schemas.create }, async (request, reply) => {
    const { role, label, expires_at: expiresAt } = request.body
    const made = await tenantChanges.addKey(request.params.tenant, { role, label, expiresAt }, originOf(request))
    return reply.code(201).send(newKeyBody(made))
  })

  app.patch('/v1/tenants/:tenant/keys/:key', { schema: schemas.change }, async (request) => {
    const { body, params } = request
    const { label, expires_at: expiresAt } = body
    const input = { ...(label !== undefined && { label }), ...(expiresAt !== undefined && { expiresAt }) }
    return keyBody(await tenantChanges.changeKey(params.tenant, params.key, input, originOf(request)))
  })

  app.post('/v1/tenants/:tenant/keys/:key/rotate', { schema: schemas.rotate }, async (request, reply) => {
    const { body, params } = request
    const grace = body.grace_seconds ?? DEFAULT_GRACE_SECONDS
    return reply
      .code(201)
      .send(newKeyBody(await tenantChanges.rotateKey(params.tenant, params.key, grace, originOf(request))))
  })

  app.delete('/v1/tenants/:tenant/keys/:key', { schema: schemas.revoke }, async (request, reply) => {
    const { tenant, key } = request.params
    await tenantChanges.revokeKey(tenant, key, originOf(request))
    return reply.code(204).send(null)
  })
}

function newKeyBody({ key, text }: NewKey) {
  return { ...keyBody(key), key: text }
}
