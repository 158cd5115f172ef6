import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import { Compile } from 'typebox/compile'
import type { TSchema } from 'typebox'
import type { App } from '../../src/server/app.ts'

interface Operation {
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { schema: object }>> }>>
}

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

/** A client that holds every JSON answer against the API's own description: the status is declared, the body fits. */
export function contractCheck(app: App): (request: InjectOptions) => Promise<LightMyRequestResponse> {
  const description = app.swagger() as unknown as Description
  return async (request) => {
    const response = await app.inject(request)
    const path = (typeof request.url === 'string' ? request.url : '').split('?')[0] ?? ''
    const template = Object.keys(description.paths).find((one) => matches(one, path))
    const operation = template && description.paths[template]?.[String(request.method ?? 'GET').toLowerCase()]
    if (!operation) return response
    const declared = operation.responses[response.statusCode]
    if (!declared)
      throw new Error(`${request.method} ${template} does not declare ${response.statusCode}: ${response.body}`)
    const json = declared.content?.['application/json']
    if (!json || !String(response.headers['content-type']).startsWith('application/json')) return response
    const compiled = Compile(resolved(json.schema, description) as TSchema)
    if (!compiled.Check(response.json()))
      throw new Error(
        `${request.method} ${template}: ${JSON.stringify(compiled.Errors(response.json()))} in ${response.body}`,
      )
    return response
  }
}

function matches(template: string, path: string): boolean {
  return new RegExp(`^${template.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path)
}

/** The schema with its references replaced by what they refer to. */
function resolved(value: unknown, description: Description): unknown {
  if (Array.isArray(value)) return value.map((item) => resolved(item, description))
  if (value === null || typeof value !== 'object') return value
  if ('$ref' in value) {
    const name = String(value.$ref).replace('#/components/schemas/', '')
    return resolved(description.components.schemas[name], description)
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolved(item, description)]))
}
