import { Type } from 'typebox'
import { TroupeError } from '../../../core/errors.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { Strict, errorResponses } from '../../wire/common.ts'

const liveSchema = {
  operationId: 'live',
  tags: ['operations'],
  summary: 'The process answers',
  security: [],
  response: {
    200: Strict({ status: Type.Literal('live') }, { title: 'Live', description: 'Always, while the process runs.' }),
  },
}

const readySchema = {
  operationId: 'ready',
  tags: ['operations'],
  summary: 'The server can serve',
  security: [],
  response: {
    200: Strict(
      {
        status: Type.Literal('ready'),
        degraded: Type.Array(Type.String(), {
          description: 'What does not work meanwhile, such as a store that is lost.',
        }),
      },
      { title: 'Ready', description: 'Requests are served.' },
    ),
    ...errorResponses(503),
  },
}

const healthSchema = {
  ...readySchema,
  operationId: 'health',
  summary: 'The same as `/health/ready`, where probes made for other servers look',
}

/** `GET /health/live`, `GET /health/ready`, `GET /health` */
export function healthRoutes(app: App, deps: Pick<ServerDeps, 'readiness'>): void {
  app.get('/health/live', { schema: liveSchema }, async () => ({ status: 'live' as const }))

  const ready = async (): Promise<{ status: 'ready'; degraded: string[] }> => {
    const { reasons, degraded } = await deps.readiness()
    if (reasons.length > 0) throw new TroupeError('not_ready', `not ready: ${reasons.join('; ')}`)
    return { status: 'ready', degraded: [...degraded] }
  }
  app.get('/health/ready', { schema: readySchema }, ready)
  app.get('/health', { schema: healthSchema }, ready)
}
