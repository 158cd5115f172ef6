import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { describeApi } from '../../src/server/openapi.ts'
import { hoistTitledSchemas } from '../../src/server/openapi-components.ts'
import { testApp } from '../support/test-app.ts'

describe('openapi.yaml', () => {
  it('is what the routes say', async () => {
    const committed = readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8')
    expect(committed, 'run `npm run openapi`').toBe(await describeApi())
  })

  it('is served, with a page to read it', async () => {
    const { app } = await testApp({ tenants: [{ name: 'acme', keys: ['k'] }] })
    const yaml = await app.inject({ url: '/openapi.yaml' })
    expect(yaml.headers['content-type']).toMatch(/yaml/)
    expect(yaml.body).toContain('/v1/tasks/{task}/generate:')
    expect((await app.inject({ url: '/openapi.json' })).json()).toMatchObject({ openapi: '3.1.0' })
    expect((await app.inject({ url: '/docs' })).statusCode).toBe(200)
    await app.close()
  })
})

describe('hoistTitledSchemas', () => {
  const document = (...schemas: object[]) => ({
    paths: { '/a': { get: { schemas } } },
    components: { securitySchemes: {} },
  })

  it('moves a titled schema to the components once and refers to it', () => {
    const thing = { title: 'Thing', type: 'object', description: 'first' }
    const result = hoistTitledSchemas(document(thing, { ...thing, description: 'second' }, { type: 'string' }))
    const reference = { $ref: '#/components/schemas/Thing' }
    expect(result.paths['/a'].get.schemas).toEqual([reference, reference, { type: 'string' }])
    expect(result.components).toEqual({ securitySchemes: {}, schemas: { Thing: thing } })
  })

  it('refuses two schemas with one title', () => {
    expect(() => hoistTitledSchemas(document({ title: 'T', type: 'object' }, { title: 'T', type: 'string' }))).toThrow(
      /two different schemas have the title T/,
    )
  })
})
