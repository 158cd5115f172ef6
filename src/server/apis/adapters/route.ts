import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { VERSION_STATES } from '../../../catalogue/version.ts'
import type { VersionRecord } from '../../../catalogue/version.ts'
import { DEFAULT_DRAIN_SECONDS, MAX_DRAIN_SECONDS } from '../../../residency/draining.ts'
import type { Deletion } from '../../../residency/deletion.ts'
import { assertMayAlterAdapter, viewOf } from '../../../tenancy/access.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import {
  AdapterPatch,
  AdapterSchema,
  DrainingSchema,
  VersionPatch,
  VersionSchema,
  adapterBody,
  VersionDetailSchema,
  versionBody,
} from './schema.ts'
import { NextSchema, numberKey, pageBounds, pageOf, pageQuery } from '../../wire/paging.ts'
import { Name, Strict, VersionRef, errorResponses } from '../../wire/common.ts'
import { originOf } from '../../wire/origin.ts'

const byName = Strict({ name: Name })
const byVersion = Strict({ name: Name, version: VersionRef })
const byDrain = Strict({
  drain_seconds: Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: MAX_DRAIN_SECONDS,
      description: `How long requests in flight may finish; 0 = refuse with 409 if there are any. Default ${DEFAULT_DRAIN_SECONDS}.`,
    }),
  ),
})
const tags = ['adapters']
const deleted = { 202: DrainingSchema, 204: { ...Type.Null(), description: 'It is gone.' } }

const schemas = {
  list: {
    operationId: 'listAdapters',
    tags,
    summary: 'List adapters by name',
    querystring: Strict({
      prefix: Type.Optional(Type.String({ description: 'Only names that begin with this.' })),
      ...pageQuery,
    }),
    response: {
      200: Strict(
        { data: Type.Array(AdapterSchema), next: NextSchema },
        { title: 'AdapterList', description: 'One page; `next` is null on the last one.' },
      ),
      ...errorResponses(400, 401),
    },
  },
  get: {
    operationId: 'getAdapter',
    tags,
    summary: 'One adapter with its versions',
    params: byName,
    response: { 200: AdapterSchema, ...errorResponses(400, 401, 404) },
  },
  listVersions: {
    operationId: 'listAdapterVersions',
    tags,
    summary: 'List an adapter’s versions by number',
    params: byName,
    querystring: Strict({
      state: Type.Optional(Type.Enum([...VERSION_STATES], { description: 'Only versions in this state.' })),
      ...pageQuery,
    }),
    response: {
      200: Strict(
        { data: Type.Array(VersionSchema()), next: NextSchema },
        { title: 'VersionList', description: 'One page; `next` is null on the last one.' },
      ),
      ...errorResponses(400, 401, 404),
    },
  },
  getVersion: {
    operationId: 'getAdapterVersion',
    tags,
    summary: 'One version',
    params: byVersion,
    response: { 200: VersionDetailSchema, ...errorResponses(400, 401, 404, 500) },
  },
  patch: {
    operationId: 'describeAdapter',
    tags,
    summary: 'Change an adapter’s description and labels, pin it, or share it with other tenants',
    params: byName,
    body: AdapterPatch,
    response: { 200: AdapterSchema, ...errorResponses(400, 401, 403, 404, 409, 415, 500) },
  },
  patchVersion: {
    operationId: 'describeAdapterVersion',
    tags,
    summary: 'Change a version’s description and labels',
    params: byVersion,
    body: VersionPatch,
    response: { 200: VersionSchema(), ...errorResponses(400, 401, 403, 404, 409, 415, 500) },
  },
  retry: {
    operationId: 'retryAdapterVersion',
    tags,
    summary: 'Load a version now whose loads failed',
    params: byVersion,
    response: { 200: VersionSchema(), ...errorResponses(400, 401, 403, 404, 409, 500, 503) },
  },
  delete: {
    operationId: 'deleteAdapter',
    tags,
    summary: 'Delete an adapter with all its versions',
    params: byName,
    querystring: byDrain,
    response: { ...deleted, ...errorResponses(400, 401, 403, 404, 409, 500) },
  },
  deleteVersion: {
    operationId: 'deleteAdapterVersion',
    tags,
    summary: 'Delete one version',
    params: byVersion,
    querystring: byDrain,
    response: { ...deleted, ...errorResponses(400, 401, 403, 404, 409, 500) },
  },
}

/** `/v1/adapters …` but for the upload. */
export function adapterRoutes(app: App, { catalogue, changes, residency, intake }: ServerDeps): void {
  app.get('/v1/adapters', { schema: schemas.list }, async ({ caller, query }) => {
    const { records, next } = catalogue.pageAdapters(viewOf(caller), { ...query, ...pageBounds(query) })
    return { data: records.map(adapterBody), next }
  })

  app.get('/v1/adapters/:name', { schema: schemas.get }, async ({ caller, params }) =>
    adapterBody(catalogue.getAdapter(params.name, viewOf(caller))),
  )

  app.get('/v1/adapters/:name/versions', { schema: schemas.listVersions }, async ({ caller, params, query }) => {
    const { versions } = catalogue.getAdapter(params.name, viewOf(caller))
    const wanted = versions.filter(({ state }) => query.state === undefined || state === query.state)
    // What never became a version has the number 0.
    const keyOf = (one: VersionRecord): string => `${numberKey(one.version)} ${one.createdAt}`
    const { data, next } = pageOf(wanted, keyOf, query)
    return { data: data.map(versionBody), next }
  })

  app.get('/v1/adapters/:name/versions/:version', { schema: schemas.getVersion }, async ({ caller, params }) => {
    const record = catalogue.getVersion(params.name, params.version, viewOf(caller))
    const proof = await intake.proofOf(params.name, record.version)
    return { ...versionBody(record), proof: proof && { ...proof, sites: [...proof.sites] } }
  })

  app.patch('/v1/adapters/:name', { schema: schemas.patch }, async (request) => {
    const { body, caller, params } = request
    assertMayAlterAdapter(catalogue.state, caller, params.name)
    const { shared_with: sharedWith, ...said } = body
    const input = { ...said, ...(sharedWith && { sharedWith }) }
    return adapterBody(await changes.describeAdapter(params.name, input, originOf(request)))
  })

  app.patch('/v1/adapters/:name/versions/:version', { schema: schemas.patchVersion }, async (request) => {
    const { body, caller, params } = request
    assertMayAlterAdapter(catalogue.state, caller, params.name)
    const { version } = catalogue.named(params.name, params.version)
    return versionBody(await changes.describeVersion(params.name, version, body, originOf(request)))
  })

  app.post('/v1/adapters/:name/versions/:version/retry', { schema: schemas.retry }, async ({ caller, params }) => {
    assertMayAlterAdapter(catalogue.state, caller, params.name)
    return versionBody(await residency.retryVersion(params.name, params.version))
  })

  app.delete('/v1/adapters/:name', { schema: schemas.delete }, async (request, reply) => {
    const { caller, params, query } = request
    assertMayAlterAdapter(catalogue.state, caller, params.name)
    return answerDeleted(reply, await residency.deleteAdapter(params.name, originOf(request), query.drain_seconds))
  })

  app.delete('/v1/adapters/:name/versions/:version', { schema: schemas.deleteVersion }, async (request, reply) => {
    const { caller, params, query } = request
    assertMayAlterAdapter(catalogue.state, caller, params.name)
    return answerDeleted(
      reply,
      await residency.deleteVersion(params.name, params.version, originOf(request), query.drain_seconds),
    )
  })
}

function answerDeleted(reply: FastifyReply, deletion: Deletion): FastifyReply {
  return deletion.status === 'deleted' ? reply.code(204).send() : reply.code(202).send(deletion)
}
