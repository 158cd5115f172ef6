import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ME } from '../support/store-folder.ts'
import { digestOf, testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'
import { bytesOf, textOf } from '../support/fake-text.ts'

let served: TestApp

beforeEach(async () => {
  served = await testApp()
  await served.app.listen({ port: 0, host: '127.0.0.1' })
})
afterEach(() => served.app.close())

interface Evaluation {
  readonly id: string
  readonly status: string
  readonly reason: string | null
  readonly progress: { readonly done: number | null; readonly total: number }
  readonly set: { readonly digest: string; readonly items: number }
  readonly mixes: readonly {
    readonly label: string
    readonly metrics: Readonly<Record<string, { readonly value: number; readonly low: number; readonly high: number }>>
    readonly fields: Readonly<Record<string, number>>
    readonly failed: number
  }[]
  readonly comparisons: readonly {
    readonly metric: string
    readonly difference: { readonly value: number }
    readonly mcnemar: object | null
  }[]
}

const MIXES = [{ model: 'base' }, { model: 'json@v1' }]
const ITEMS = Array.from({ length: 10 }, (_, i) => ({ input: `q${i}`, expected: `{"n":${i}}` }))

async function post(payload: object, url = '/v1/evaluations') {
  return served.call({ method: 'POST', url, payload })
}

async function ended(id: string): Promise<Evaluation> {
  let found: Evaluation | null = null
  await expect
    .poll(
      async () => {
        found = (await served.call({ url: `/v1/evaluations/${id}` })).json<Evaluation>()
        return found.status
      },
      { timeout: 20_000 },
    )
    .not.toMatch(/queued|running/)
  return found!
}

async function evaluate(payload: object): Promise<Evaluation> {
  const made = await post({ task: 'extract', mixes: MIXES, items: ITEMS, ...payload })
  expect(made.statusCode, made.body).toBe(202)
  return ended(made.json<Evaluation>().id)
}

/** The adapter knows every answer, the base model those of even numbers. */
function knowsAll(): void {
  served.engine.script = ({ tokens, mix }) => {
    const n = /q(\d+)/.exec(textOf(tokens))![1]!
    return bytesOf(mix.length > 0 || Number(n) % 2 === 0 ? ` {"n": ${n}}` : 'no idea')
  }
}

describe('POST /v1/evaluations', () => {
  it('scores every mix on the set in the background, with intervals and a test', async () => {
    knowsAll()
    const found = await evaluate({
      metrics: ['json_fields', 'exact_match', 'json_schema', 'regex'],
      pattern: '^ ?\\{',
      schema: { type: 'object' },
    })
    expect(found).toMatchObject({ status: 'done', progress: { done: 20, total: 20 }, set: { items: 10 } })
    const [base, adapter] = found.mixes
    expect(base!.metrics).toMatchObject({
      json_fields: { value: 0.5 },
      exact_match: { value: 0 },
      json_schema: { value: 0.5 },
      regex: { value: 0.5 },
    })
    expect(adapter!.metrics).toMatchObject({ json_fields: { value: 1, low: 1, high: 1 } })
    expect(base!.metrics.json_fields!.low).toBeLessThan(0.5)
    expect(base!.metrics.json_fields!.high).toBeGreaterThan(0.5)
    expect([base!.fields, adapter!.fields]).toEqual([{ n: 0.5 }, { n: 1 }])
    expect(found.comparisons.find(({ metric }) => metric === 'json_fields')).toMatchObject({
      difference: { value: -0.5 },
      mcnemar: { only_a: 0, only_b: 5, p_value: 0.0625 },
    })
    expect(served.engine.requests.every(({ background }) => background === true)).toBe(true)
    expect(textOf(served.engine.requests[0]!.tokens)).toBe('T:q0!')
    expect(served.admission.stats()).toEqual({ waiting: 0, running: 0, requests: 0, shed: 0 })
    expect(await served.metrics.render()).toContain('troupe_evaluations_total{status="done"} 1')
  })

  it('keeps what was answered, item by item, and gives the same when run again', async () => {
    knowsAll()
    const first = await evaluate({})
    const answers = await served.call({ url: `/v1/evaluations/${first.id}/answers?limit=2` })
    expect(answers.json()).toMatchObject({
      data: [
        { item: 0, mix: 0, text: ' {"n": 0}', error: null },
        { item: 0, mix: 1, text: ' {"n": 0}' },
      ],
      next: expect.any(String) as string,
    })
    const again = await post({}, `/v1/evaluations/${first.id}/rerun`)
    expect(again.statusCode).toBe(202)
    const second = await ended(again.json<Evaluation>().id)
    const scores = ({ mixes, set, comparisons }: Evaluation) => ({
      set,
      comparisons,
      metrics: mixes.map(({ metrics }) => metrics),
    })
    expect(scores(second)).toEqual(scores(first))
    // By the digest of the set as well, without sending it.
    const third = await evaluate({ items: undefined, set: first.set.digest })
    expect(scores(third)).toEqual(scores(first))
  })

  it('chooses among choices and measures perplexity by likelihoods, without generating', async () => {
    const items = [
      { prompt: 'p', expected: 'ab', choices: ['ab', 'abc'] },
      { prompt: 'p', expected: 'abc', choices: ['ab', 'abc'] },
    ]
    const { mixes } = await evaluate({ items, metrics: ['choice', 'perplexity'], task: undefined })
    // The stand-in gives every token -0.5: the shorter text is the likelier.
    expect(mixes[0]!.metrics.choice!.value).toBe(0.5)
    expect(mixes[0]!.metrics.perplexity!.value).toBeCloseTo(Math.exp(0.5), 6)
    expect(served.engine.requests.every(({ maxTokens }) => maxTokens === 0)).toBe(true)
  })

  it('counts items that cannot be run as failed', async () => {
    knowsAll()
    const found = await evaluate({
      items: [...ITEMS, { input: `q1${'x'.repeat(200)}`, expected: '{}' }],
      metrics: ['json_fields'],
    })
    expect(found.mixes.map(({ failed }) => failed)).toEqual([1, 1])
    expect(found.mixes[1]!.metrics.json_fields!.value).toBeCloseTo(10 / 11, 6)
  })

  it('fails with the reason when a version is gone', async () => {
    await served.addAdapter('brief', 'cccc')
    served.engine.tokenMs = 5
    const made = await post({ mixes: [{ model: 'json' }, { model: 'brief' }], items: ITEMS, task: 'extract' })
    await served.rooms.changes.deleteAdapter('brief', 0, ME)
    const found = await ended(made.json<Evaluation>().id)
    expect(found.status).toBe('failed')
    expect(found.reason).toMatch(/^(version|adapter)_/)
  })

  it('can be cancelled and deleted, and leaves nothing', async () => {
    served.engine.tokenMs = 50
    const { id } = (await post({ mixes: MIXES, items: ITEMS, task: 'extract' })).json<Evaluation>()
    await expect.poll(() => served.engine.active).toBeGreaterThan(0)
    const cancelled = await post({}, `/v1/evaluations/${id}/cancel`)
    expect(cancelled.json()).toMatchObject({ status: 'cancelled' })
    await expect.poll(() => served.engine.active).toBe(0)
    expect((await post({}, `/v1/evaluations/${id}/cancel`)).statusCode).toBe(409)
    expect((await served.call({ method: 'DELETE', url: `/v1/evaluations/${id}` })).statusCode).toBe(204)
    expect((await served.call({ url: `/v1/evaluations/${id}` })).statusCode).toBe(404)
    const { store } = served.rooms.evaluation
    expect(await store.list('evaluations/')).toEqual([])
    expect([...served.rooms.catalogue.state.condemned.keys()].some((key) => key.startsWith('blobs/'))).toBe(true)
    expect(served.rooms.stats().leases).toBe(0)
  })

  it('waits while the server is full, and goes on', async () => {
    await served.app.close()
    served = await testApp({ places: 1, maxWaiting: 0 })
    await served.app.listen({ port: 0, host: '127.0.0.1' })
    knowsAll()
    const found = await evaluate({ items: ITEMS.slice(0, 2), metrics: ['json_fields'] })
    expect(found.mixes.map(({ failed }) => failed)).toEqual([0, 0])
  })

  it.each([
    [{ items: [] }, 'items'],
    [{ items: [{ input: 'a' }] }, 'items[0]'],
    [{ items: [{ input: 'a', prompt: 'b', expected: 'c' }] }, 'items[0]'],
    [{ items: [{ input: 'a', expected: 'x' }], metrics: ['json_fields'] }, 'items[0]'],
    [{ items: [{ input: 'a', expected: 'x' }], metrics: ['choice'] }, 'items[0]'],
    [{ metrics: ['regex'] }, 'pattern'],
    [{ metrics: ['regex'], pattern: '(' }, 'pattern'],
    [{ metrics: ['json_schema'], schema: { pattern: 'a' } }, 'schema'],
    [{ set: digestOf('aaaa') }, 'items'],
    [{ items: undefined, set: digestOf('aaaa') }, 'set'],
    [{ mixes: [{ model: 'nobody' }] }, 'mixes[0].model'],
  ])('refuses %j and names the field', async (fields, param) => {
    const refused = await post({ task: 'extract', mixes: MIXES, items: ITEMS, ...fields })
    expect(refused.statusCode, refused.body).toBeGreaterThanOrEqual(400)
    expect(refused.json<{ error: { param: string } }>().error.param).toBe(param)
    expect((await served.call({ url: '/v1/evaluations' })).json()).toEqual({ data: [], next: null })
  })

  it('stays within its tenant', async () => {
    const tenants = [
      { name: 'acme', keys: ['a'] },
      { name: 'zeta', keys: ['z'] },
    ]
    const keyed = await testApp({ tenants })
    const payload = { mixes: [{ model: 'base' }], items: [{ prompt: 'p', expected: 'x' }] }
    const headers = { 'x-api-key': 'a' }
    const made = await keyed.call({ method: 'POST', url: '/v1/evaluations', payload, headers })
    const { id, set } = made.json<Evaluation>()
    const others = { 'x-api-key': 'z' }
    expect((await keyed.call({ url: `/v1/evaluations/${id}`, headers })).statusCode).toBe(200)
    expect((await keyed.call({ url: `/v1/evaluations/${id}`, headers: others })).statusCode).toBe(404)
    expect((await keyed.call({ method: 'DELETE', url: `/v1/evaluations/${id}`, headers: others })).statusCode).toBe(404)
    const bySet = { mixes: [{ model: 'base' }], set: set.digest }
    const guessed = await keyed.call({ method: 'POST', url: '/v1/evaluations', payload: bySet, headers: others })
    expect(guessed.statusCode).toBe(404)
    await keyed.app.close()
  })
})

describe('a task’s gate', () => {
  async function putGate(gate: object | null): Promise<void> {
    const set = await served.call({ method: 'PUT', url: '/v1/tasks/extract', payload: { gate } })
    expect(set.statusCode, set.body).toBe(200)
  }

  async function activate() {
    return post({ adapter: 'json', version: 'v2' }, '/v1/tasks/extract/activate')
  }

  const mixes = [{ model: 'json@v1' }, { model: 'json@v2' }]

  it('keeps versions out that no evaluation speaks for, or a bad one, and lets the others in', async () => {
    // v1 knows even numbers, v2 all but one.
    served.engine.script = ({ tokens, mix }) => {
      const n = Number(/q(\d+)/.exec(textOf(tokens))![1]!)
      const knows = mix[0]?.digest === digestOf('bbbb') ? n !== 3 : n % 2 === 0
      return bytesOf(knows ? `{"n":${n}}` : 'no')
    }
    const { set } = await evaluate({ metrics: ['json_fields'], mixes: [{ model: 'json@v1' }] })
    const gate = { set: set.digest, metric: 'json_fields', min: 0.95, not_worse_than: 'current' }
    await putGate(gate)
    expect((await served.call({ url: '/v1/tasks/extract' })).json()).toMatchObject({
      gate: { ...gate, confidence: 0.95 },
    })

    const without = await activate()
    expect(without.statusCode).toBe(409)
    expect(without.json<{ error: { message: string; code: string } }>().error).toMatchObject({
      code: 'gate_not_passed',
      message: expect.stringMatching(/no finished evaluation of json@v2.*mixes json@v2, json@v1/) as string,
    })

    await evaluate({ metrics: ['json_fields'], mixes })
    expect((await activate()).json<{ error: { message: string } }>().error.message).toMatch(
      /scores 0.9 on json_fields.*0.95/,
    )
    // Other ways to the same routes are no way around.
    const around = { adapter: 'json', version: 'v2', gate: null }
    expect((await served.call({ method: 'PUT', url: '/v1/tasks/extract', payload: around })).statusCode).toBe(409)

    await putGate({ ...gate, min: 0.85 })
    expect((await activate()).statusCode).toBe(200)
    // The way back is open, and v1 is worse than what is current now.
    expect((await post({}, '/v1/tasks/extract/rollback')).statusCode).toBe(200)
    expect((await activate()).statusCode).toBe(200)
    await putGate({ set: set.digest, metric: 'json_fields', not_worse_than: 'current' })
    const back = await post({ adapter: 'json', version: 'v1' }, '/v1/tasks/extract/activate')
    expect(back.json<{ error: { message: string } }>().error.message).toMatch(/json@v1 is worse than json@v2.*-0.4/)

    // An evaluation under another prompt says nothing.
    await served.rooms.changes.putTask('extract', { prompt: 'Q:{input}!' }, ME)
    await putGate({ ...gate, min: 0.1 })
    const changed = await post({ adapter: 'json', version: 'v1' }, '/v1/tasks/extract/activate')
    expect(changed.json<{ error: { message: string } }>().error.message).toMatch(/no finished evaluation/)
  })

  it('must ask for something', async () => {
    const payload = { gate: { set: digestOf('aaaa'), metric: 'exact_match' } }
    const refused = await served.call({ method: 'PUT', url: '/v1/tasks/extract', payload })
    expect(refused.statusCode).toBe(400)
    expect(refused.json()).toMatchObject({ error: { param: 'gate' } })
  })
})
