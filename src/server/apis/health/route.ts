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
    200: Strict({ status: Type.Literal('ready') }, { title: 'Ready', description: 'Engine and store answer.' }),
    ...errorResponses(503),
  },
}

/** `GET /health/live`, `GET /health/ready` */
export function healthRoutes(app: App, deps: ServerDeps): void {
  app.get('/health/live', { schema: liveSchema }, async () => ({ status: 'live' as const }))

  app.get('/health/ready', { schema: readySchema }, async () => {
    await assertReady(deps)
    return { status: 'ready' as const }
  })
}

/** @throws TroupeError `not_ready` with the reasons */
export async function assertReady({ readiness }: Pick<ServerDeps, 'readiness'>): Promise<void> {
  const reasons = await readiness()
  if (reasons.length > 0) throw new TroupeError('not_ready', `not ready: ${reasons.join('; ')}`)
}
