import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openSource, takeFiles } from '../../src/intake/take-files.ts'
import { describeApi } from '../../src/server/openapi.ts'
import { packagePath } from '../../src/config/defaults.ts'
import { parse } from 'yaml'
import { scratchFolder } from '../support/at-exit.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'

interface Schema {
  readonly $ref?: string
  readonly examples?: readonly unknown[]
}
interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}
interface Operation {
  readonly requestBody?: { readonly content: Readonly<Record<string, Content>> }
}
interface Content {
  readonly schema: Schema
  readonly example?: unknown
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
}

/** What stands in the paths: things of the bundled store. */
const NAMES: Record<string, string> = { task: 'ticket-json', name: 'ticket-json', version: 'v1', tenant: 'acme' }
/** Its JSON names files that lie elsewhere: on a hub or in a bucket, which this test has not. */
const ELSEWHERE = 'POST /v1/adapters/{name}/versions'
const KEYS = /^\/v1\/tenants\/\{tenant\}\/keys/
const ARCHIVE = join(import.meta.dirname, '../fixtures/trained/trl.tar.gz')

let server: RunningServer

beforeAll(async () => {
  const store = join(scratchFolder('troupe-examples-'), 'store')
  cpSync(packagePath('adapters-store'), store, { recursive: true })
  // What the example of load_lora_adapter names.
  const tuned = join(store, 'import/tuned')
  mkdirSync(tuned, { recursive: true })
  await takeFiles(await openSource(ARCHIVE, 2 ** 30), tuned)
  server = await startTestServer({ model: packagePath('models/demo'), store })
})
afterAll(() => server.close())

it('every operation that takes JSON has an example, and the bundled server takes it', async () => {
  const { paths, components } = parse(await describeApi()) as Description
  const tried: string[] = []
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  // The first key closes the server to those without one, so keys come last.
  const inOrder = Object.entries(paths).sort(([a], [b]) => Number(KEYS.test(a)) - Number(KEYS.test(b)))
  for (const [path, operations] of inOrder)
    for (const [method, { requestBody }] of Object.entries(operations)) {
      const content = requestBody?.content['application/json']
      if (content === undefined) continue
      const what = `${method.toUpperCase()} ${path}`
      if (what === ELSEWHERE) continue
      const named = content.schema.$ref?.split('/').at(-1)
      const schema = named === undefined ? content.schema : components.schemas[named]!
      const [example] = Object.values(content.examples ?? {}).map(({ value }) => value)
      const body = example ?? content.example ?? schema.examples?.[0]
      expect(body, `${what} has no example`).toBeDefined()
      const url = server.url + path.replace(/\{(\w+)\}/g, (_, name: string) => NAMES[name]!)
      const init = { method, headers, body: JSON.stringify(body) }
      const response = await fetch(url, { ...init, method: method.toUpperCase() })
      const answer = await response.text()
      expect(response.status, `${what} ${JSON.stringify(body)}: ${answer}`).toBeLessThan(300)
      tried.push(what)
      if (!path.endsWith('/keys')) continue
      const { id, key } = JSON.parse(answer) as { id: string; key: string }
      NAMES.key = id
      headers.authorization = `Bearer ${key}`
    }
  expect(tried.length).toBeGreaterThan(15)
}, 120_000)
