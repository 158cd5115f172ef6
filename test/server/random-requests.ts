import type { InjectOptions } from 'fastify'
import { randomFrom } from '../support/grammar.ts'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'
import type { Role } from '../../src/tenancy/roles.ts'

type Json = Readonly<Record<string, unknown>>
type Random = () => number

interface Operation {
  readonly method: string
  readonly path: string
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Json }[]
  readonly requestBody?: { readonly content?: Readonly<Record<string, { readonly schema: Json }>> }
}

type Sent = Pick<InjectOptions, 'headers' | 'payload'> & { readonly method: string; readonly url: string }

/** What came of random requests of one role. */
export interface RandomRequests {
  readonly sent: number
  readonly succeeded: number
  /** Answers above 499, as `method path status body`. */
  readonly faults: readonly string[]
  /** Answers that show something of another tenant, and changes of it. */
  readonly leaks: readonly string[]
}

/** Stands in what the other tenant's objects say about themselves; no request ever contains it. */
const HIDDEN = 'nobody-else-reads-this'
const NAMES = ['acme/a', 'acme/t', 'json', 'extract', 'zeta/secret', 'zeta/secret-task', 'zeta/lent', 'acme', 'zeta']
const ODD: readonly unknown[] = [
  ...[null, true, -1, 0, 1e308, 2 ** 53, 1.5, '', ' ', '\0', '*', '..', '../zeta', 'zeta/../acme', '%2e%2e', '💥'],
  ...['a'.repeat(300), 'zeta/secret@v1', 'acme/a@sha256:00', [], {}, [[[]]], { a: { b: [null] } }],
]

/** Sends requests made at random from the API's own description, with a key of the role, and looks what they did to another tenant. */
export async function sendRandomRequests(role: Role, count: number, seed: number): Promise<RandomRequests> {
  const random = randomFrom(seed)
  const test = await testApp({
    tenants: [
      { name: 'acme', keys: ['key-of-acme'], role },
      { name: 'zeta', keys: ['key-of-zeta'] },
    ],
  })
  try {
    await furnish(test)
    const operations = operationsOf(test)
    const before = await stateOfZeta(test)
    const faults: string[] = []
    const leaks: string[] = []
    let succeeded = 0
    for (let n = 0; n < count; n++) {
      const request = randomRequest(pick(operations, random), random)
      const { statusCode, body } = await test.app.inject({
        ...request,
        headers: { ...request.headers, 'x-api-key': 'key-of-acme' },
      })
      const what = `${request.method} ${request.url} ${statusCode} ${body.slice(0, 300)}`
      if (statusCode >= 500) faults.push(what)
      if (statusCode < 300) succeeded++
      if (role !== 'admin' && (body.includes(HIDDEN) || (statusCode < 300 && body.includes('zeta/secret'))))
        leaks.push(what)
    }
    if (role !== 'admin' && (await stateOfZeta(test)) !== before)
      leaks.push('something of the other tenant was changed')
    return { sent: count, succeeded, faults, leaks }
  } finally {
    await test.app.close()
  }
}

async function furnish(test: TestApp): Promise<void> {
  await test.addAdapter('acme/a', 'cccc')
  await test.addAdapter('zeta/secret', 'dddd')
  await test.addAdapter('zeta/lent', 'eeee')
  const zeta = (method: 'PATCH' | 'PUT', path: string, payload: object) =>
    test.app.inject({ method, url: `/v1/${path}`, headers: { 'x-api-key': 'key-of-zeta' }, payload })
  await zeta('PATCH', 'adapters/zeta%2Fsecret', { description: HIDDEN })
  await zeta('PATCH', 'adapters/zeta%2Flent', { shared_with: ['acme'] })
  await zeta('PUT', 'tasks/zeta%2Fsecret-task', {
    adapter: 'zeta/secret',
    description: HIDDEN,
    prompt: `${HIDDEN}{input}`,
  })
}

async function stateOfZeta({ app }: TestApp): Promise<string> {
  const urls = ['adapters/zeta%2Fsecret', 'adapters/zeta%2Flent', 'tasks/zeta%2Fsecret-task']
  const headers = { 'x-api-key': 'key-of-zeta' }
  const answers = await Promise.all(urls.map((url) => app.inject({ url: `/v1/${url}`, headers })))
  return answers.map(({ body }) => body).join('\n')
}

function operationsOf({ app }: TestApp): readonly Operation[] {
  const document = app.swagger() as { paths?: Record<string, Record<string, Json>>; components?: unknown }
  const paths = inlined(document.paths, document) as Record<string, Record<string, Json>>
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  )
}

/** The description with every reference replaced by what it names; of schemas within themselves one level. */
function inlined(value: unknown, document: object, seen: readonly string[] = []): unknown {
  if (Array.isArray(value)) return value.map((item) => inlined(item, document, seen))
  if (typeof value !== 'object' || value === null) return value
  const { $ref } = value as { $ref?: string }
  if ($ref === undefined)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inlined(item, document, seen)]))
  if (seen.includes($ref)) return {}
  const target = $ref
    .split('/')
    .slice(1)
    .reduce<unknown>((at, key) => (at as Json)[key], document)
  return inlined(target, document, [...seen, $ref])
}

function randomRequest(operation: Operation, random: Random): Sent {
  const { method, path, parameters = [], requestBody } = operation
  const query = parameters
    .filter((parameter) => parameter.in === 'query' && random() < 0.3)
    .map(({ name, schema }) => `${name}=${encodeURIComponent(String(sample(schema, random)))}`)
  const url = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(partOf(name, random))))
  const schema = requestBody?.content?.['application/json']?.schema
  const payload = schema ? JSON.stringify(random() < 0.05 ? pick(ODD, random) : sample(schema, random)) : undefined
  const type =
    random() < 0.95 ? 'application/json' : pick(['text/plain', 'multipart/form-data; boundary=x', 'x'], random)
  return {
    method,
    url: query.length > 0 ? `${url}?${query.join('&')}` : url,
    ...(payload !== undefined && { payload, headers: { 'content-type': type } }),
  }
}

function partOf(name: string, random: Random): unknown {
  if (random() < 0.1) return pick(ODD, random)
  if (name === 'version') return pick(['v1', 'v2', '1', 'latest', 'sha256:dddd00000000'], random)
  return name === 'key' ? '0'.repeat(12) : pick(NAMES, random)
}

/** A value that mostly fits the schema. */
function sample(schema: Json, random: Random, depth = 0): unknown {
  if (random() < 0.05) return pick(ODD, random)
  const { type, anyOf, enum: values, const: constant, properties = {}, required = [], items, examples } = schema
  if (constant !== undefined) return constant
  if (Array.isArray(values)) return pick(values, random)
  if (Array.isArray(anyOf)) return sample(pick(anyOf, random) as Json, random, depth)
  if (Array.isArray(examples) && random() < 0.2) return pick(examples, random)
  if (type === 'string') return random() < 0.8 ? pick(NAMES, random) : 'x{input}y'
  if (type === 'integer') return Math.floor(random() * 6)
  if (type === 'number') return random() * 2
  if (type === 'boolean') return random() < 0.5
  if (type === 'array') {
    const length = depth > 4 ? 0 : 1 + Math.floor(random() * 2)
    return Array.from({ length }, () => sample((items ?? {}) as Json, random, depth + 1))
  }
  if (type === 'object') {
    const wanted = Object.entries(properties as Record<string, Json>).filter(
      ([name]) => (required as string[]).includes(name) || (depth < 4 && random() < 0.2),
    )
    return Object.fromEntries(wanted.map(([name, one]) => [name, sample(one, random, depth + 1)]))
  }
  return 'a'
}

function pick<T>(from: readonly T[], random: Random): T {
  return from[Math.floor(random() * from.length)]!
}
