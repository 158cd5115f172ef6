import { Type } from 'typebox'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { errorResponses, Strict } from '../../wire/common.ts'
import { originOf } from '../../wire/origin.ts'
import { pageOf, pageQuery } from '../../wire/paging.ts'
import { limitsFrom } from './limits.ts'
import { byTenant, TenantBodySchema, tenantBody, TenantListSchema, TenantSchema } from './schema.ts'

const tags = ['tenants']

const schemas = {
  list: {
    operationId: 'listTenants',
    tags,
    summary: 'List tenants by name',
    querystring: Strict({
      prefix: Type.Optional(Type.String({ description: 'Only names that begin with this.' })),
      ...pageQuery,
    }),
    response: { 200: TenantListSchema, ...errorResponses(400, 401, 403) },
  },
  put: {
    operationId: 'putTenant',
    tags,
    summary: 'Create or change a tenant',
    params: byTenant,
    body: TenantBodySchema,
    response: {
      200: TenantSchema('The changed tenant.'),
      201: TenantSchema('The new tenant.'),
      ...errorResponses(400, 401, 403, 409, 415, 500),
    },
  },
  get: {
    operationId: 'getTenant',
    tags,
    summary: 'One tenant',
    params: byTenant,
    response: { 200: TenantSchema(), ...errorResponses(400, 401, 403, 404) },
  },
  delete: {
    operationId: 'deleteTenant',
    tags,
    summary: 'Delete a tenant that owns no adapters and tasks any more; its keys are refused from then on',
    params: byTenant,
    response: {
      204: { ...Type.Null(), description: 'It is gone.' },
      ...errorResponses(400, 401, 403, 404, 409, 500),
    },
  },
}

/** `/v1/tenants`, `/v1/tenants/{tenant}` */
export function tenantRoutes(app: App, { tenants, tenantChanges }: ServerDeps): void {
  app.get('/v1/tenants', { schema: schemas.list }, async ({ query }) => {
    const { prefix = '' } = query
    const named = [...tenants.tenants.values()].filter(({ name }) => name.startsWith(prefix))
    named.sort((a, b) => (a.name < b.name ? -1 : 1))
    const { data, next } = pageOf(named, ({ name }) => name, query)
    return { data: data.map((tenant) => tenantBody(tenant, tenants.keysOf(tenant.name).length)), next }
  })

  app.put('/v1/tenants/:tenant', { schema: schemas.put }, async (request, reply) => {
    const { body, params } = request
    const { description, limits } = body
    const input = { description, limits: limits && limitsFrom(limits) }
    const { tenant, created } = await tenantChanges.putTenant(params.tenant, input, originOf(request))
    return reply.code(created ? 201 : 200).send(tenantBody(tenant, tenants.keysOf(tenant.name).length))
  })

  app.get('/v1/tenants/:tenant', { schema: schemas.get }, async ({ params }) =>
    tenantBody(tenants.tenant(params.tenant), tenants.keysOf(params.tenant).length),
  )

  app.delete('/v1/tenants/:tenant', { schema: schemas.delete }, async (request, reply) => {
    await tenantChanges.deleteTenant(request.params.tenant, originOf(request))
    return reply.code(204).send(null)
  })
}
