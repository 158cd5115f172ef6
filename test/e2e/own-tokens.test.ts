import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Client, readFolder } from '../support/client.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures/conformance')
const MODEL = join(FIXTURES, 'qwen2/model')
/** A LoRA saved with an embedding of two more rows. */
const FILES = readFolder(join(FIXTURES, 'qwen2-tokens/adapters/tokens-new'))
const VOCAB = 461
const [STEP, DONE] = [VOCAB, VOCAB + 1]

interface Uploaded {
  readonly digest: string
  readonly warnings: readonly string[]
  readonly tokens: { readonly rows: number; readonly ends: readonly number[] } | null
}
interface Completed {
  readonly choices: readonly {
    readonly text: string
    readonly finish_reason: string
    readonly token_ids: readonly number[]
  }[]
}

let server: RunningServer
let client: Client

beforeAll(async () => {
  server = await startTestServer({ model: MODEL, name: 'model' })
  client = new Client(server.url)
  await expect(client.upload('rows', FILES)).resolves.toMatchObject({ status: 201 })
  const own = await client.upload('own', { ...FILES, ...tokenizerFiles() })
  expect(own).toMatchObject({ status: 201, body: { tokens: { rows: 2, ends: [DONE] }, warnings: [] } })
})
afterAll(() => server.close())

/** What a trainer saves beside an adapter after adding a plain token and a special one that ends an answer. */
function tokenizerFiles(more: readonly object[] = []): Record<string, Uint8Array> {
  const read = (name: string): object => JSON.parse(readFileSync(join(MODEL, name), 'utf8')) as object
  const tokenizer = read('tokenizer.json') as { added_tokens: object[] }
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false }
  const added = [{ id: STEP, content: '<step>', special: false, ...flags }, { id: DONE, content: '<|done|>', special: true, ...flags }] // prettier-ignore
  const files = {
    'tokenizer.json': { ...tokenizer, added_tokens: [...tokenizer.added_tokens, ...added, ...more] },
    'tokenizer_config.json': { ...read('tokenizer_config.json'), eos_token: '<|done|>' },
  }
  return Object.fromEntries(Object.entries(files).map(([name, file]) => [name, Buffer.from(JSON.stringify(file))]))
}

async function idsOf(model: string, prompt: string): Promise<readonly number[]> {
  return (await client.post<{ tokens: number[] }>('/v1/tokenize', { model, prompt })).body.tokens
}

/** One token that nothing can stand against. */
async function forced(model: string, token: number): Promise<{ status: number; body: Completed }> {
  const body = {
    model,
    prompt: 'a',
    max_tokens: 2,
    logit_bias: { [token]: 100 },
    return_token_ids: true,
    temperature: 0,
  }
  return client.post<Completed>('/v1/completions', body)
}

describe('tokens that an adapter adds', () => {
  it('are found in its prompts and in no others', async () => {
    expect(await idsOf('own', 'a<step>b<|done|>')).toEqual([...(await idsOf('own', 'a')), STEP, ...(await idsOf('own', 'b')), DONE]) // prettier-ignore
    for (const other of ['model', 'rows']) {
      const ids = await idsOf(other, 'a<step>b<|done|>')
      expect(ids.every((id) => id < VOCAB)).toBe(true)
      expect(ids.length).toBeGreaterThan(4)
    }
    const tokens = { tokens: [STEP, STEP] }
    expect((await client.post('/v1/detokenize', { model: 'own', ...tokens })).body).toEqual({ prompt: '<step><step>' })
    expect((await client.post('/v1/detokenize', { model: 'model', ...tokens })).status).toBe(400)
  })

  it('stay text in what others wrote', async () => {
    const body = { model: 'own', prompt: 'a<|done|>', max_tokens: 1 }
    const length = async (more: object): Promise<number> =>
      (await client.post<{ usage: { prompt_tokens: number } }>('/v1/completions', { ...body, ...more })).body.usage
        .prompt_tokens
    expect(await length({})).toBe(2)
    expect(await length({ parse_special: false })).toBeGreaterThan(4)
  })

  it('are written into its answers, and end them where its tokenizer says so', async () => {
    const step = await forced('own', STEP)
    expect(step.body.choices[0]).toMatchObject({ text: '<step><step>', token_ids: [STEP, STEP] })
    const done = await forced('own', DONE)
    expect(done.body.choices[0]).toMatchObject({ text: '', finish_reason: 'stop' })
    // Rows without a tokenizer: the ids can be used, and have no text.
    expect((await forced('rows', STEP)).body.choices[0]).toMatchObject({ text: '', token_ids: [STEP, STEP] })
    expect((await forced('model', STEP)).status).toBe(400)
  })

  it('act by id in the mix that has them, beside rows that have not', async () => {
    const ask = (model: string, prompt: readonly number[]): Promise<{ status: number; body: Completed }> =>
      client.post<Completed>('/v1/completions', {
        model,
        prompt,
        max_tokens: 4,
        temperature: 0,
        return_token_ids: true,
      })
    const alone = await ask('rows', [341, STEP, DONE])
    const [own, base, rows] = await Promise.all([ask('own', [341, STEP, DONE]), ask('model', [341]), ask('rows', [341, STEP, DONE])]) // prettier-ignore
    expect(own.body.choices[0]!.token_ids).toEqual(alone.body.choices[0]!.token_ids)
    expect(rows.body.choices[0]!.token_ids).toEqual(alone.body.choices[0]!.token_ids)
    expect(base.status).toBe(200)
    expect(await ask('model', [341, STEP])).toMatchObject({ status: 400, body: { error: { param: 'prompt[1]' } } })
  })

  it('are a part of what the version is, and those without a row are named', async () => {
    const list = await client.get<Uploaded>('/v1/adapters/rows/versions/v1')
    const own = await client.get<Uploaded>('/v1/adapters/own/versions/v1')
    expect(own.body.digest).not.toBe(list.body.digest)
    expect(list.body.tokens).toMatchObject({ rows: 2, added: [], ends: [] })
    const lost = { id: VOCAB + 2, content: '<lost>', special: false, single_word: false, lstrip: false, rstrip: false, normalized: false } // prettier-ignore
    const more = await client.upload<Uploaded>('own', { ...FILES, ...tokenizerFiles([lost]) })
    expect(more.status).toBe(201)
    expect(more.body.warnings).toEqual([expect.stringContaining('"<lost>" (463)') as string])
  })
})
