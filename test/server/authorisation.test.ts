import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Role } from '../../src/tenancy/roles.ts'
import { ROLES } from '../../src/tenancy/roles.ts'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

/** Whose object a request names: the caller's tenant's, nobody's, another tenant's, one that the other tenant shares with the caller's. */
const OWNERS = ['own', 'unowned', 'foreign', 'lent'] as const
type Owner = (typeof OWNERS)[number]

const PREFIX: Readonly<Record<Owner, string>> = { own: 'acme/', unowned: '', foreign: 'zeta/', lent: 'zeta/lent-' }
const TENANT: Readonly<Record<Owner, string>> = { own: 'acme', unowned: 'nobody', foreign: 'zeta', lent: 'zeta' }

/**
 * What a kind of operation comes to: `yes` (whatever the request itself is worth), `403`, or `404`: it is hidden. By role, in the order of `OWNERS`.
 */
type Verdict = 'yes' | 403 | 404
type Verdicts = Readonly<Record<Role, readonly [own: Verdict, unowned: Verdict, foreign: Verdict, lent: Verdict]>>

const YES = ['yes', 'yes', 'yes', 'yes'] as const
const NO = [403, 403, 403, 403] as const
const SEES = ['yes', 'yes', 404, 'yes'] as const

const KINDS = {
  /** Names nobody's object, or lists what the caller may see. */
  free: { admin: YES, publisher: YES, caller: YES, metrics: NO },
  see: { admin: YES, publisher: SEES, caller: SEES, metrics: NO },
  alter: { admin: YES, publisher: ['yes', 403, 404, 403], caller: NO, metrics: NO },
  /** Tenants and keys: their names are told to admins only, so that others get 403 for any. */
  manage: { admin: YES, publisher: NO, caller: NO, metrics: NO },
  /** Names nobody's object, and needs the right to publish. */
  make: { admin: YES, publisher: YES, caller: NO, metrics: NO },
  scrape: { admin: YES, publisher: NO, caller: NO, metrics: YES },
} as const satisfies Record<string, Verdicts>

interface Rule {
  /** `open` = no key is needed. */
  readonly kind: keyof typeof KINDS | 'open'
  readonly body?: (name: string) => object
}

const see: Rule = { kind: 'see' }
const alter: Rule = { kind: 'alter' }
const free: Rule = { kind: 'free' }
const manage: Rule = { kind: 'manage' }
const tokens = { tokens: [104] }
const chat = (model: string) => ({ model, messages: [{ role: 'user', content: 'a' }] })

/** One line per operation of the API: an operation without one fails the test. */
const RULES: Readonly<Record<string, Rule>> = {
  live: { kind: 'open' },
  ready: { kind: 'open' },
  health: { kind: 'open' },
  ping: { kind: 'open' },
  version: { kind: 'open' },
  metrics: { kind: 'scrape' },
  listTenants: manage,
  putTenant: { ...manage, body: () => ({ description: 'x' }) },
  getTenant: manage,
  deleteTenant: manage,
  listKeys: manage,
  createKey: { ...manage, body: () => ({ role: 'admin' }) },
  changeKey: { ...manage, body: () => ({ label: 'x' }) },
  rotateKey: { ...manage, body: () => ({}) },
  revokeKey: manage,
  listModels: free,
  listTasks: free,
  listAdapters: free,
  liveFigures: free,
  listEvaluations: free,
  getEvaluation: free,
  listEvaluationAnswers: free,
  createEvaluation: {
    kind: 'make',
    body: () => ({ mixes: [{ model: 'base' }], items: [{ prompt: 'a', expected: 'b' }] }),
  },
  rerunEvaluation: { kind: 'make' },
  cancelEvaluation: { kind: 'make' },
  deleteEvaluation: { kind: 'make' },
  tokenize: { ...free, body: () => ({ prompt: 'a' }) },
  detokenize: { ...free, body: () => tokens },
  tokenizeAsVllm: { ...free, body: () => ({ prompt: 'a' }) },
  detokenizeAsVllm: { ...free, body: () => tokens },
  generate: { ...see, body: () => ({ input: 'a' }) },
  createCompletion: { ...see, body: (model) => ({ model, prompt: 'a' }) },
  createChatCompletion: { ...see, body: chat },
  createResponse: { ...see, body: (model) => ({ model, input: 'a' }) },
  compare: { ...see, body: (model) => ({ prompt: 'a', mixes: [{ model }] }) },
  planAdapters: { ...see, body: (name) => ({ adapters: [{ name }] }) },
  getModel: see,
  getTask: see,
  listTaskHistory: see,
  getShadow: see,
  getAdapter: see,
  listAdapterVersions: see,
  getAdapterVersion: see,
  putTask: { ...alter, body: (adapter) => ({ adapter }) },
  activateVersion: { ...alter, body: (adapter) => ({ adapter, version: 'v1' }) },
  rollbackTask: alter,
  deleteTask: alter,
  describeAdapter: { ...alter, body: () => ({ description: 'x' }) },
  describeAdapterVersion: { ...alter, body: () => ({ description: 'x' }) },
  uploadAdapterVersion: alter,
  retryAdapterVersion: alter,
  mergeAdapters: {
    ...alter,
    body: (name) => ({
      adapters: [
        { name, weight: 0.5 },
        { name, weight: 0.5 },
      ],
      combination: 'linear',
    }),
  },
  deleteAdapterVersion: alter,
  deleteAdapter: alter,
  loadLoraAdapter: { ...alter, body: (name) => ({ lora_name: name, lora_path: 'import/x' }) },
  unloadLoraAdapter: { ...alter, body: (name) => ({ lora_name: name }) },
}

const TASKED = /\{task\}/
const TENANTS = [
  ...ROLES.map((role) => ({ name: role === 'admin' ? 'ops' : 'acme', keys: [`key-${role}`], role })),
  { name: 'zeta', keys: ['key-zeta'] },
]

interface Operation {
  readonly id: string
  readonly method: string
  readonly path: string
}

let test: TestApp
let operations: readonly Operation[] = []

beforeAll(async () => {
  test = await testApp({ tenants: TENANTS, empty: true })
  const { paths = {} } = test.app.swagger() as { paths?: Record<string, Record<string, { operationId?: string }>> }
  operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => ({
      id: operationId ?? `${method} ${path}`,
      method: method.toUpperCase(),
      path,
    })),
  )
})
afterAll(() => test.app.close())

/** An adapter `adapter` and a task `task` of every owner, made again where an operation took them away. */
async function furnish(): Promise<void> {
  const headers = { 'x-api-key': 'key-admin' }
  for (const [index, owner] of OWNERS.entries()) {
    const prefix = PREFIX[owner]
    const [adapter, task] = [`${prefix}adapter`, `${prefix}task`]
    const version = `/v1/adapters/${encodeURIComponent(adapter)}/versions/v1`
    const known = await test.app.inject({ url: version, headers })
    if (known.statusCode !== 200 || known.json<{ state: string }>().state !== 'ready') {
      await test.app.inject({ method: 'DELETE', url: `/v1/adapters/${encodeURIComponent(adapter)}`, headers })
      await test.addAdapter(adapter, `a${index}${++made}`)
    }
    const lends = owner === 'lent' ? { shared_with: ['acme'] } : {}
    const adapterUrl = `/v1/adapters/${encodeURIComponent(adapter)}`
    await test.app.inject({ method: 'PATCH', url: adapterUrl, headers, payload: lends })
    const url = `/v1/tasks/${encodeURIComponent(task)}`
    if ((await test.app.inject({ url, headers })).statusCode === 200) continue
    const answer = await test.app.inject({
      method: 'PUT',
      url,
      headers,
      payload: { adapter, prompt: '{input}', ...lends },
    })
    expect(answer.statusCode, answer.body).toBeLessThan(300)
  }
}

let made = 0

/** Everything of the other tenant that an operation could change. */
async function foreignState(): Promise<readonly string[]> {
  const urls = ['', 'lent-'].flatMap((lent) => [
    `/v1/adapters/zeta%2F${lent}adapter`,
    `/v1/tasks/zeta%2F${lent}task`,
    `/v1/tasks/zeta%2F${lent}task/history`,
  ])
  const answers = await Promise.all(urls.map((url) => test.app.inject({ url, headers: { 'x-api-key': 'key-zeta' } })))
  // Where the weights are now, and when they were used, is no change.
  return answers.map(({ body }) => body.replace(/"(tier|last_used[^"]*|residency)":("[^"]*"|[^,}]*)/g, ''))
}

function request({ id, method, path }: Operation, owner: Owner): InjectOptions {
  const [adapter, task] = [`${PREFIX[owner]}adapter`, `${PREFIX[owner]}task`]
  const url = path
    .replace('{task}', encodeURIComponent(task))
    .replace(/\{(name|model)\}/, encodeURIComponent(adapter))
    .replace('{version}', 'v1')
    .replace('{tenant}', TENANT[owner])
    .replace('{key}', '0'.repeat(12))
    .replace('{id}', 'eval-1')
  const body = RULES[id]?.body?.(adapter)
  const form = id === 'uploadAdapterVersion'
  if (form)
    return { method: 'POST', url, headers: { 'content-type': 'multipart/form-data; boundary=x' }, payload: '--x--\r\n' }
  return { method: method, url, ...(body && { payload: body }) }
}

async function send(operation: Operation, owner: Owner, key?: string): Promise<LightMyRequestResponse> {
  const asked = request(operation, owner)
  return test.app.inject({ ...asked, headers: { ...asked.headers, ...(key && { 'x-api-key': key }) } })
}

function expectVerdict(response: LightMyRequestResponse, verdict: Verdict, what: string): void {
  const { statusCode, body } = response
  if (verdict === 'yes') expect([401, 403], `${what}: ${body}`).not.toContain(statusCode)
  else expect(statusCode, `${what}: ${body}`).toBe(verdict)
  expect(statusCode, `${what}: ${body}`).not.toBe(500)
}

it('has a rule for every operation of the API, and for no other', () => {
  expect(operations.map(({ id }) => id).sort()).toEqual(Object.keys(RULES).sort())
})

it('asks for a key everywhere but where it says that none is needed', async () => {
  for (const operation of operations)
    for (const key of [undefined, 'key-unknown']) {
      const { statusCode } = await send(operation, 'own', key)
      expect(statusCode === 401, operation.id).toBe(RULES[operation.id]?.kind !== 'open')
    }
})

describe.each(ROLES)('a key of the role %s', (role) => {
  it.each(OWNERS)('may do to %s objects what the table says', async (owner) => {
    for (const operation of operations) {
      const { kind } = RULES[operation.id]!
      if (kind === 'open') continue
      await furnish()
      const before = await foreignState()
      const verdict = KINDS[kind][role][OWNERS.indexOf(owner) as 0 | 1 | 2 | 3]
      expectVerdict(await send(operation, owner, `key-${role}`), verdict, `${role} ${operation.id} ${owner}`)
      if (role !== 'admin') expect(await foreignState(), `${role} ${operation.id} ${owner}`).toEqual(before)
    }
  })

  it('lists nothing that it may not see', async () => {
    await furnish()
    const payload = { mixes: [{ model: 'zeta/adapter' }], items: [{ prompt: 'a', expected: 'b' }] }
    const theirs = { method: 'POST' as const, url: '/v1/evaluations', payload, headers: { 'x-api-key': 'key-zeta' } }
    expect((await test.app.inject(theirs)).statusCode).toBe(202)
    for (const operation of operations.filter(({ id, path }) => RULES[id]?.kind === 'free' && !TASKED.test(path))) {
      const { body, statusCode } = await send(operation, 'own', `key-${role}`)
      const shows = operation.id.startsWith('list') || operation.id === 'liveFigures'
      if (statusCode === 200 && shows) expect(/zeta\/(adapter|task)/.test(body)).toBe(role === 'admin')
      else expect(body).not.toMatch(/zeta\/(adapter|task)/)
    }
  })
})

it('a route that nobody has a rule for cannot be added', async () => {
  const { assertHasRule } = await import('../../src/tenancy/operations.ts')
  expect(() => assertHasRule('newOperation', '/v1/new')).toThrow(/\/v1\/new \(newOperation\) has no entry/)
  expect(() => assertHasRule(undefined, '/v1/new')).toThrow(/no operationId/)
})
