import { Type } from 'typebox'
import { TroupeError } from '../../../core/errors.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { VERSION } from '../../../config/version.ts'
import { Strict, errorResponses } from '../../wire/common.ts'

const Healthy = Strict({ status: Type.Literal('ok') }, { title: 'Healthy', description: 'It can serve.' })

const pingSchema = {
  operationId: 'ping',
  tags: ['operations'],
  summary: 'The server can serve (SageMaker’s path)',
  security: [],
  response: { 200: Healthy, ...errorResponses(503) },
}

const versionSchema = {
  operationId: 'version',
  tags: ['operations'],
  summary: 'The server’s version',
  security: [],
  response: { 200: Strict({ version: Type.String() }, { title: 'Version', description: 'As in package.json.' }) },
}

/** `GET /ping`, `GET /version`: what load balancers and clients of other servers ask for. */
export function probeRoutes(app: App, deps: Pick<ServerDeps, 'readiness'>): void {
  app.get('/ping', { schema: pingSchema }, async () => {
    const { reasons } = await deps.readiness()
    if (reasons.length > 0) throw new TroupeError('not_ready', `not ready: ${reasons.join('; ')}`)
    return { status: 'ok' as const }
  })
  app.get('/version', { schema: versionSchema }, async () => ({ version: VERSION }))
}
