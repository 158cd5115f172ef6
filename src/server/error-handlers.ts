import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { TroupeError } from '../core/errors.ts'
import type { App } from './app.ts'
import { ReaderGoneError } from '../generation/reader-gone.ts'
import { endSoon, sayGoodbye } from './edge/connections.ts'
import { envelope, toTroupeError } from './error-envelope.ts'

const DEFAULT_RETRY_AFTER_SECONDS = 1
/** Nobody reads it; the metrics tell by it that the client left (nginx's number). */
const CLIENT_CLOSED_REQUEST = 499

/** Renders every failure with the one envelope: thrown errors, unknown routes, wrong methods. */
export function installErrorHandlers(app: App): void {
  const routes: { readonly pattern: RegExp; readonly literal: boolean; readonly method: string }[] = []
  app.addHook('onRoute', ({ url, method }) => {
    // The answer to preflights of any path is no route of that path.
    if (url === '*' || url === '/*') return
    for (const one of [method].flat())
      routes.push({ pattern: routePattern(url), literal: !url.includes(':'), method: one })
  })

  const refuseRoute = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const path = request.url.split('?')[0] ?? ''
    const matching = routes.filter(({ pattern }) => pattern.test(path))
    // `/v1/adapters/plan` is also what `/v1/adapters/:name` matches, but it names itself.
    const own = matching.filter(({ literal }) => literal)
    const allowed = [...new Set((own.length > 0 ? own : matching).map(({ method }) => method))]
    if (allowed.length === 0)
      return sendError(new TroupeError('not_found', `no route ${request.method} ${path}`), request, reply)
    reply.header('allow', allowed.join(', '))
    const message = `${path} takes ${allowed.join(', ')}, not ${request.method}`
    return sendError(new TroupeError('method_not_allowed', message), request, reply)
  }

  // Where there is no route, what the framework finds wrong with the body is not the fault to name.
  app.setErrorHandler((thrown, request, reply) =>
    request.is404 && !(thrown instanceof TroupeError) ? refuseRoute(request, reply) : sendError(thrown, request, reply),
  )
  app.setNotFoundHandler(refuseRoute)
}

/** Answers with the envelope of whatever was thrown. */
export function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (thrown instanceof ReaderGoneError) return reply.code(CLIENT_CLOSED_REQUEST).send()
  const error = toTroupeError(thrown)
  if (error.status >= 500 && error.code !== 'overloaded' && error.code !== 'not_ready')
    request.log.error({ err: thrown }, 'request failed')
  if (error.status === 429 || error.status === 503)
    reply.header('retry-after', String(error.retryAfterSeconds ?? DEFAULT_RETRY_AFTER_SECONDS))
  // What fails before routing has passed no hook.
  reply.header('x-request-id', request.id)
  reply.header('x-content-type-options', 'nosniff')
  return reply.code(error.status).type('application/json; charset=utf-8').send(envelope(error, request.id))
}

/** Answers what is not even HTTP, too much of it or too slow, before there is a request. */
export function answerBadHttp(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const refusal = badHttp(error.code)
  sayGoodbye(socket, refusal.status, JSON.stringify(envelope(refusal, 'none')), 'application/json; charset=utf-8')
  endSoon(socket)
}

/** @param code Node's */
function badHttp(code: string | undefined): TroupeError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new TroupeError('request_timeout', 'the request did not arrive in time: send it again')
  if (code === 'HPE_HEADER_OVERFLOW')
    return new TroupeError('invalid_request', 'the headers of the request are too large')
  return new TroupeError('invalid_request', 'the request is not valid HTTP')
}

/** `/v1/tasks/:task/generate` as a pattern for paths. */
function routePattern(url: string): RegExp {
  const escaped = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${escaped.replace(/:[^/]+/g, '[^/]+').replace('*', '.*')}/?$`)
}
