import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { DEFAULT_DRAIN_SECONDS, MAX_DRAIN_SECONDS } from '../../../registry/drain-deadlines.ts'
import { VERSION_STATES } from '../../../registry/records.ts'
import type { VersionRecord } from '../../../registry/records.ts'
import type { Deletion } from '../../../registry/removal.ts'
import { assertMayAlter, viewOf } from '../../../tenancy/access.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { versionNumber } from '../../../generation/target.ts'
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
    summary: 'Change an adapter’s description and labels, or pin it',
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
export function adapterRoutes(app: App, { registry }: ServerDeps): void {
  app.get('/v1/adapters', { schema: schemas.list }, async ({ caller, query }) => {
    const { records, next } = registry.pageAdapters(viewOf(caller), { ...query, ...pageBounds(query) })
    return { data: records.map(adapterBody), next }
  })

  app.get('/v1/adapters/:name', { schema: schemas.get }, async ({ caller, params }) =>
    adapterBody(registry.getAdapter(params.name, viewOf(caller))),
  )

  app.get('/v1/adapters/:name/versions', { schema: schemas.listVersions }, async ({ caller, params, query }) => {
    const { versions } = registry.getAdapter(params.name, viewOf(caller))
    const wanted = versions.filter(({ state }) => query.state === undefined || state === query.state)
    // What never became a version has the number 0.
    const keyOf = (one: VersionRecord): string => `${numberKey(one.version)} ${one.createdAt}`
    const { data, next } = pageOf(wanted, keyOf, query)
    return { data: data.map(versionBody), next }
  })

  app.get('/v1/adapters/:name/versions/:version', { schema: schemas.getVersion }, async ({ caller, params }) => {
    const named = Number(String(params.version).replace(/^v/, ''))
    const deleted = registry.deletedVersion(params.name, named, viewOf(caller))
    if (deleted) return { ...versionBody(deleted), proof: null }
    const adapter = registry.getAdapter(params.name, viewOf(caller))
    const number = versionNumber(adapter, params.version)
    const record = adapter.versions.find(({ version }) => version === number)!
    const proof = await registry.proofOf(record)
    return { ...versionBody(record), proof: proof && { ...proof, sites: [...proof.sites] } }
  })

  app.patch('/v1/adapters/:name', { schema: schemas.patch }, async ({ body, caller, params }) => {
    assertMayAlter(caller, params.name)
    return adapterBody(await registry.describeAdapter(params.name, body))
  })

  app.patch(
    '/v1/adapters/:name/versions/:version',
    { schema: schemas.patchVersion },
    async ({ body, caller, params }) => {
      assertMayAlter(caller, params.name)
      const number = versionNumber(registry.getAdapter(params.name, viewOf(caller)), params.version)
      return versionBody(await registry.describeVersion(params.name, number, body))
    },
  )

  app.post('/v1/adapters/:name/versions/:version/retry', { schema: schemas.retry }, async ({ caller, params }) => {
    assertMayAlter(caller, params.name)
    const number = versionNumber(registry.getAdapter(params.name, viewOf(caller)), params.version)
    return versionBody(await registry.retryVersion(params.name, number))
  })

  app.delete('/v1/adapters/:name', { schema: schemas.delete }, async ({ caller, params, query }, reply) => {
    assertMayAlter(caller, params.name)
    return answerDeleted(reply, await registry.deleteAdapter(params.name, query.drain_seconds))
  })

  app.delete(
    '/v1/adapters/:name/versions/:version',
    { schema: schemas.deleteVersion },
    async ({ caller, params, query }, reply) => {
      assertMayAlter(caller, params.name)
      const number = versionNumber(registry.getAdapter(params.name, viewOf(caller)), params.version)
      return answerDeleted(reply, await registry.deleteVersion(params.name, number, query.drain_seconds))
    },
  )
}

function answerDeleted(reply: FastifyReply, deletion: Deletion): FastifyReply {
  return deletion.status === 'deleted' ? reply.code(204).send() : reply.code(202).send(deletion)
}
