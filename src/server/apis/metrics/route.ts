import { Type } from 'typebox'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { errorResponses } from '../../wire/common.ts'

const schema = {
  operationId: 'metrics',
  tags: ['operations'],
  summary: 'All metrics in Prometheus’ text format',
  description: 'Needs a key of the role `metrics` or `admin` when keys are configured.',
  response: {
    200: { description: 'The metrics.', content: { 'text/plain': { schema: Type.String() } } },
    ...errorResponses(401, 403),
  },
}

/** `GET /metrics` */
export function metricsRoutes(app: App, { metrics }: ServerDeps): void {
  app.get('/metrics', { schema }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.render()),
  )
}
