import { Type } from 'typebox'
import type { FastifyRequest } from 'fastify'
import type { TaskDefaults } from '../../../catalogue/task.ts'
import { TroupeError } from '../../../core/errors.ts'
import type { EvaluationWish } from '../../../evaluation/evaluations.ts'
import type { Evaluation } from '../../../evaluation/record.ts'
import type { EvaluationRuns } from '../../../evaluation/runs.ts'
import { pinMixes } from '../../../generation/mixes.ts'
import { viewOf } from '../../../tenancy/access.ts'
import type { App } from '../../app.ts'
import type { RouteDeps } from '../../deps.ts'
import { Strict, errorResponses } from '../../wire/common.ts'
import { namedMix } from '../../wire/mixes.ts'
import { originOf } from '../../wire/origin.ts'
import { NextSchema, numberKey, pageOf, pageQuery } from '../../wire/paging.ts'
import { AnswerSchema, EvaluationBody, EvaluationSchema, evaluationBody } from './schema.ts'
import type { EvaluationRequest } from './schema.ts'

const tags = ['evaluation']
const byId = Strict({ id: Type.String({ pattern: '^eval-[0-9a-z]+$', maxLength: 40 }) })

const schemas = {
  create: {
    operationId: 'createEvaluation',
    tags,
    summary: 'Score mixes on a set, in the background',
    description:
      'Names are pinned to versions now. Runs when no request needs the engine, and goes on after a restart.',
    body: EvaluationBody,
    response: { 202: EvaluationSchema, ...errorResponses(400, 401, 403, 404, 409, 413, 415, 429, 500, 503) },
  },
  list: {
    operationId: 'listEvaluations',
    tags,
    summary: 'List evaluations, the newest first',
    querystring: Strict(pageQuery),
    response: {
      200: Strict({ data: Type.Array(EvaluationSchema), next: NextSchema }, { title: 'EvaluationList' }),
      ...errorResponses(400, 401, 403),
    },
  },
  get: {
    operationId: 'getEvaluation',
    tags,
    summary: 'One evaluation: how far it is, and its scores',
    params: byId,
    response: { 200: EvaluationSchema, ...errorResponses(400, 401, 403, 404) },
  },
  answers: {
    operationId: 'listEvaluationAnswers',
    tags,
    summary: 'What the mixes answered, item by item',
    params: byId,
    querystring: Strict(pageQuery),
    response: {
      200: Strict({ data: Type.Array(AnswerSchema), next: NextSchema }, { title: 'EvaluationAnswers' }),
      ...errorResponses(400, 401, 403, 404, 500),
    },
  },
  rerun: {
    operationId: 'rerunEvaluation',
    tags,
    summary: 'The same once more: same versions, set and settings',
    params: byId,
    response: { 202: EvaluationSchema, ...errorResponses(400, 401, 403, 404, 409, 429, 500) },
  },
  cancel: {
    operationId: 'cancelEvaluation',
    tags,
    summary: 'Stop an evaluation; its answers stay',
    params: byId,
    response: { 200: EvaluationSchema, ...errorResponses(400, 401, 403, 404, 409, 500) },
  },
  delete: {
    operationId: 'deleteEvaluation',
    tags,
    summary: 'Delete an evaluation with its answers',
    params: byId,
    response: {
      204: { ...Type.Null(), description: 'It is gone.' },
      ...errorResponses(400, 401, 403, 404, 409, 500),
    },
  },
}

/** `/v1/evaluations …` */
export function evaluationRoutes(app: App, deps: RouteDeps, runs: EvaluationRuns): void {
  const { evaluations } = deps.evaluation
  const body = (evaluation: Evaluation) => evaluationBody(evaluation, runs.progress(evaluation))

  app.post('/v1/evaluations', { schema: schemas.create }, async (request, reply) => {
    const made = await evaluations.create(wishOf(deps, request, request.body), originOf(request))
    return reply.code(202).send(body(made))
  })

  app.get('/v1/evaluations', { schema: schemas.list }, async ({ caller, query }) => {
    const keyOf = ({ spec, createdAt }: Evaluation): string =>
      `${numberKey(Number.MAX_SAFE_INTEGER - Date.parse(createdAt))}-${spec.id}`
    const sorted = [...evaluations.list(viewOf(caller))].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
    const { data, next } = pageOf(sorted, keyOf, query)
    return { data: data.map(body), next }
  })

  app.get('/v1/evaluations/:id', { schema: schemas.get }, async ({ caller, params }) =>
    body(evaluations.get(params.id, viewOf(caller))),
  )

  app.get('/v1/evaluations/:id/answers', { schema: schemas.answers }, async ({ caller, params, query }) => {
    const { spec } = evaluations.get(params.id, viewOf(caller))
    const answers = await evaluations.readAnswers(spec.id)
    const found = Array.from({ length: spec.set.items }, (_, item) =>
      spec.mixes.flatMap((_mix, mix) => answers.of(mix, item) ?? []),
    ).flat()
    const { data, next } = pageOf(found, ({ item }) => numberKey(item), query)
    return { data: data.map(({ item, mix, text, tokens, error }) => ({ item, mix, text, tokens, error })), next }
  })

  app.post('/v1/evaluations/:id/rerun', { schema: schemas.rerun }, async (request, reply) => {
    const again = await evaluations.rerun(request.params.id, viewOf(request.caller), originOf(request))
    return reply.code(202).send(body(again))
  })

  app.post('/v1/evaluations/:id/cancel', { schema: schemas.cancel }, async (request) => {
    const { spec } = evaluations.get(request.params.id, viewOf(request.caller))
    return body(await evaluations.cancel(spec.id, originOf(request)))
  })

  app.delete('/v1/evaluations/:id', { schema: schemas.delete }, async (request, reply) => {
    const { spec } = evaluations.get(request.params.id, viewOf(request.caller))
    await evaluations.delete(spec.id, originOf(request))
    return reply.code(204).send(null)
  })
}

function wishOf(deps: RouteDeps, { caller }: FastifyRequest, body: EvaluationRequest): EvaluationWish {
  const { items, set, task: named } = body
  if (((items ?? null) === null) === ((set ?? null) === null))
    throw new TroupeError('invalid_request', 'send exactly one of `items` and `set`', { param: 'items' })
  const task = named ? deps.catalogue.getTask(named, viewOf(caller)) : null
  return {
    name: body.name ?? task?.name ?? 'evaluation',
    tenant: caller.tenant,
    task,
    mixes: pinMixes(deps, caller, body.mixes.map(namedMix)),
    set: items ? { items } : { digest: set! },
    metrics: body.metrics ?? ['exact_match'],
    ...{ pattern: body.pattern ?? null, schema: body.schema ?? null, sampling: samplingOf(body) },
    ...{ seed: body.seed ?? 0, confidence: body.confidence ?? 0.95 },
  }
}

function samplingOf(body: EvaluationRequest): TaskDefaults {
  const { max_tokens, temperature, top_k, top_p, min_p, repetition_penalty, stop } = body
  const given = { max_tokens, temperature, top_k, top_p, min_p, repetition_penalty, stop }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => (value ?? null) !== null))
}
