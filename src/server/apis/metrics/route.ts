import { Type } from 'typebox'
import { assertAdmin } from '../../../tenancy/access.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { errorResponses } from '../../wire/common.ts'

const schema = {
  operationId: 'metrics',
  tags: ['operations'],
  summary: 'All metrics in Prometheus’ text format',
  description: 'Needs the key of an administrator when keys are configured.',
  response: {
    200: { description: 'The metrics.', content: { 'text/plain': { schema: Type.String() } } },
    ...errorResponses(401, 403),
  },
}

/** `GET /metrics` */
export function metricsRoutes(app: App, { metrics }: ServerDeps): void {
  app.get('/metrics', { schema }, async (request, reply) => {
    assertAdmin(request.caller, '`/metrics`')
    return reply.type(metrics.contentType).send(await metrics.render())
  })
}
