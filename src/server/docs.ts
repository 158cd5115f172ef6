import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { stringify } from 'yaml'
import type { App } from './app.ts'
import { OPENAPI_BASE } from './openapi-base.ts'
import { hoistTitledSchemas } from './openapi-components.ts'

/** `GET /docs` (Swagger UI), `GET /openapi.json`, `GET /openapi.yaml`: all made from the routes' schemas. Before the routes. */
export async function installDocs(app: App): Promise<void> {
  await app.register(swagger, {
    openapi: OPENAPI_BASE,
    transformObject: (document) =>
      'openapiObject' in document ? hoistTitledSchemas(document.openapiObject) : document.swaggerObject,
  })
  await app.register(swaggerUi, { routePrefix: '/docs' })

  const schema = { hide: true }
  app.get('/', { schema }, async (_request, reply) => reply.redirect('/docs'))
  app.get('/openapi.json', { schema }, async () => app.swagger())
  app.get('/openapi.yaml', { schema }, async (_request, reply) =>
    reply.type('application/yaml; charset=utf-8').send(openapiYaml(app)),
  )
}

/** The API's description as it is committed in `openapi.yaml`. */
export function openapiYaml(app: App): string {
  return stringify(app.swagger(), { lineWidth: 140, aliasDuplicateObjects: false })
}
