import { Type } from 'typebox'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { VERSION } from '../../../config/version.ts'
import { Strict, errorResponses } from '../../wire/common.ts'
import { assertReady } from './route.ts'

const Healthy = Strict({ status: Type.Literal('ok') }, { title: 'Healthy', description: 'It can serve.' })

const schemas = (['health', 'ping'] as const).map((name) => ({
  name,
  schema: {
    operationId: name,
    tags: ['operations'],
    summary: name === 'health' ? 'The server can serve (vLLM’s path)' : 'The server can serve (SageMaker’s path)',
    security: [],
    response: { 200: Healthy, ...errorResponses(503) },
  },
}))

const versionSchema = {
  operationId: 'version',
  tags: ['operations'],
  summary: 'The server’s version',
  security: [],
  response: { 200: Strict({ version: Type.String() }, { title: 'Version', description: 'As in package.json.' }) },
}

/** `GET /health`, `GET /ping`, `GET /version`: what load balancers and clients of other servers ask for. */
export function probeRoutes(app: App, deps: ServerDeps): void {
  for (const { name, schema } of schemas)
    app.get(`/${name}`, { schema }, async () => {
      await assertReady(deps)
      return { status: 'ok' as const }
    })
  app.get('/version', { schema: versionSchema }, async () => ({ version: VERSION }))
}
