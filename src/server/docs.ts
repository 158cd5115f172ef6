import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { stringify } from 'yaml'
import type { App } from './app.ts'
import { OPENAPI_BASE } from './openapi-base.ts'
import { hoistTitledSchemas } from './openapi-components.ts'

/** `GET /docs` (Swagger UI), `GET /openapi.json`, `GET /openapi.yaml`: all made from the routes' schemas. Before the routes. */
export async function installDocs(app: App, secure: boolean): Promise<void> {
  await app.register(swagger, {
    openapi: OPENAPI_BASE,
    transformObject: (document) =>
      'openapiObject' in document ? hoistTitledSchemas(document.openapiObject) : document.swaggerObject,
  })
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: pagePolicy(secure) })

  const schema = { hide: true }
  app.get('/openapi.json', { schema }, async () => app.swagger())
  app.get('/openapi.yaml', { schema }, async (_request, reply) =>
    reply.type('application/yaml; charset=utf-8').send(openapiYaml(app)),
  )
}

/** What the pages of Swagger UI may load: only what they bring; its styles are set by scripts. */
function pagePolicy(secure: boolean): Record<string, string> {
  return {
    'default-src': "'self'",
    'base-uri': "'none'",
    'frame-ancestors': "'none'",
    'form-action': "'self'",
    'img-src': "'self' data:",
    'object-src': "'none'",
    'script-src': "'self'",
    'style-src': "'self' 'unsafe-inline'",
    ...(secure && { 'upgrade-insecure-requests': '' }),
  }
}

/** The API's description as it is committed in `openapi.yaml`. */
export function openapiYaml(app: App): string {
  return stringify(app.swagger(), { lineWidth: 140, aliasDuplicateObjects: false })
}
