import type { IncomingMessage, ServerResponse } from 'node:http'
import { randomUUID } from 'node:crypto'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, { LogController } from 'fastify'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify'
import type { Caller } from '../tenancy/roles.ts'
import { TroupeError } from '../core/errors.ts'
import { assertHasRule, assertMay } from '../tenancy/operations.ts'
import { answerBadHttp, installErrorHandlers, sendError } from './error-handlers.ts'
import type { ServerDeps } from './deps.ts'
import { edgeOf } from './edge/edge.ts'
import type { Edge } from './edge/edge.ts'
import { installEdge, listenerOptions } from './edge/install.ts'
import { joinOwnedNames } from './named-urls.ts'
import { adapterRoutes } from './apis/adapters/route.ts'
import { adapterMergeRoutes } from './apis/adapters/merges.ts'
import { adapterUploadRoutes } from './apis/adapters/uploads.ts'
import { chatRoutes } from './apis/chat-completions/route.ts'
import { responseRoutes } from './apis/responses/route.ts'
import { compareRoutes } from './apis/compare/route.ts'
import { completionRoutes } from './apis/completions/route.ts'
import { installBodies } from './bodies.ts'
import { drainUnreadBodies } from './unread-bodies.ts'
import { installConsole } from './console.ts'
import { installDocs } from './docs.ts'
import { evaluationRoutes } from './apis/evaluations/route.ts'
import { generateRoutes } from './apis/generate/route.ts'
import { probeRoutes } from './apis/health/probes.ts'
import { liveRoutes } from './apis/live/route.ts'
import { healthRoutes } from './apis/health/route.ts'
import { metricsRoutes } from './apis/metrics/route.ts'
import { modelRoutes } from './apis/models/route.ts'
import { planRoutes } from './apis/adapters/plan.ts'
import { shadowRoutes } from './apis/tasks/shadow.ts'
import { taskRoutes } from './apis/tasks/route.ts'
import { keyRoutes } from './apis/tenants/keys.ts'
import { tenantRoutes } from './apis/tenants/route.ts'
import { tokenizeRoutes } from './apis/tokenize/route.ts'
import { EvaluationRuns } from '../evaluation/runs.ts'
import { ShadowRuns } from '../generation/shadow/shadow-runs.ts'
import { vllmRoutes } from './apis/vllm/route.ts'
import { validatorCompiler } from './validation.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose key the request carries. */
    caller: Caller
    /** `performance.now()` when the request's head was read. */
    arrivedAt: number
  }
}

/** The application with its types: TypeBox schemas type the handlers. */
export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/** Ids clients may bring along in `x-request-id`; others are replaced. */
const CLIENT_REQUEST_ID = /^[\w.:-]{1,128}$/
/** An encoded name with owner and version. */
const MAX_PARAM_LENGTH = 300

/** Builds the HTTP side on what it serves. Does not listen yet. */
export async function buildApp(deps: ServerDeps, edge: Edge = edgeOf()): Promise<App> {
  const logger: FastifyBaseLogger = deps.log
  const app: App = fastify({
    ...listenerOptions(edge),
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: deps.settings.bodyLimitBytes,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH, ignoreTrailingSlash: true },
    rewriteUrl: joinOwnedNames,
    genReqId: requestId,
    clientErrorHandler: answerBadHttp,
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply),
  }).withTypeProvider<TypeBoxTypeProvider>()

  installBodies(app)
  app.setValidatorCompiler(validatorCompiler)
  // Answers are built from typed objects: nothing is to be left out or coerced on the way.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  installErrorHandlers(app)
  drainUnreadBodies(app)
  installRequestHooks(app, deps)
  await installEdge(app, edge, deps)
  await installDocs(app, edge.tls !== null)
  await installConsole(app)
  const shadows = new ShadowRuns(deps)
  const routeDeps = { ...deps, shadows }
  const readiness: ServerDeps['readiness'] = async () => {
    const found = await deps.readiness()
    return { ...found, reasons: [...edge.lifecycle.reasons, ...found.reasons] }
  }
  const runs = new EvaluationRuns({ ...routeDeps, ...deps.evaluation })
  app.addHook('onListen', async () => runs.start())
  app.addHook('preClose', async () => {
    await Promise.all([shadows.stop(), runs.stop()])
  })

  await app.register(async (open: App) => {
    healthRoutes(open, { readiness })
    probeRoutes(open, { readiness })
  })
  await app.register(async (api: App) => {
    api.addHook('onRequest', async (request) => {
      request.caller = await authenticate(request, deps)
      assertMay(request.caller, operationOf(request.routeOptions.schema) ?? '')
    })
    api.addHook('onRoute', ({ schema, url }) => assertHasRule(operationOf(schema), url))
    generateRoutes(api, routeDeps)
    completionRoutes(api, routeDeps)
    responseRoutes(api, routeDeps)
    chatRoutes(api, routeDeps)
    compareRoutes(api, routeDeps)
    evaluationRoutes(api, routeDeps, runs)
    modelRoutes(api, deps)
    taskRoutes(api, deps)
    shadowRoutes(api, routeDeps)
    planRoutes(api, deps)
    adapterRoutes(api, deps)
    adapterMergeRoutes(api, deps)
    vllmRoutes(api, deps)
    tokenizeRoutes(api, deps)
    metricsRoutes(api, deps)
    liveRoutes(api, deps)
    tenantRoutes(api, deps)
    keyRoutes(api, deps)
    await api.register(async (uploads: App) => adapterUploadRoutes(uploads, deps))
  })
  return app
}

function operationOf(schema: object | undefined): string | undefined {
  return schema && 'operationId' in schema ? String(schema.operationId) : undefined
}

/** Failed logins are counted and logged, never with what was sent as a key. */
async function authenticate(request: FastifyRequest, { keyring, metrics }: ServerDeps): Promise<Caller> {
  try {
    return await keyring.authenticate(request.headers)
  } catch (error) {
    const reason = error instanceof TroupeError ? error.code : 'internal'
    metrics.loginFailed(reason)
    const { id: requestId, ip: address, routeOptions } = request
    request.log.warn({ requestId, address, route: routeOptions.url, reason }, 'login failed')
    throw error
  }
}

function requestId(request: { readonly headers: IncomingMessage['headers'] }): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && CLIENT_REQUEST_ID.test(given) ? given : randomUUID()
}

function installRequestHooks(app: App, deps: ServerDeps): void {
  app.decorateRequest('caller')
  app.decorateRequest('arrivedAt', 0)
  app.addHook('onRequest', async (request, reply) => {
    request.arrivedAt = performance.now()
    reply.header('x-request-id', request.id)
    reply.header('x-troupe-server', deps.server)
  })
  app.addHook('onResponse', async (request, reply) => {
    const seconds = (performance.now() - request.arrivedAt) / 1000
    deps.metrics.httpAnswered(request.method, request.routeOptions.url ?? 'unmatched', reply.statusCode, seconds)
  })
}
