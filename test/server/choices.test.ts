import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Client } from '../support/client.ts'
import { modelDir } from '../support/fixtures.ts'
import { scrape } from '../support/scrape.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'

interface Completion {
  readonly choices: readonly { readonly index: number; readonly text: string; readonly token_ids: readonly number[] }[]
  readonly usage: {
    readonly prompt_tokens: number
    readonly completion_tokens: number
    readonly prompt_tokens_details: { readonly cached_tokens: number }
  }
}

interface Chunk {
  readonly choices: readonly { readonly index: number; readonly text: string }[]
}

let running: RunningServer
let client: Client

beforeAll(async () => {
  running = await startTestServer({ model: modelDir('llama'), maxBatch: 4 })
  client = new Client(running.url)
})
afterAll(() => running.close())

const promptOf = (first: number, length = 40): number[] => Array.from({ length }, (_, i) => ((first + i * 7) % 90) + 5)

function bodyOf(changes: object): object {
  const fixed = { model: running.server.info.name, max_tokens: 8, ignore_eos: true, return_token_ids: true }
  return { ...fixed, temperature: 1.2, seed: 11, ...changes }
}

async function complete(changes: object): Promise<Completion> {
  const { status, body } = await client.post<Completion>('/v1/completions', bodyOf(changes))
  expect([status, body]).toMatchObject([200, {}])
  return body
}

async function evaluated(): Promise<number> {
  return (await scrape(client)).get('troupe_engine_prompt_tokens_total')!
}

describe('several answers to one prompt', () => {
  it.each([
    ['seeded', { temperature: 1.2, seed: 11 }, 11],
    ['greedy', { temperature: 0 }, 0],
  ])('are those of separate requests, %s, and the prompt is evaluated once', async (_, sampling, seed) => {
    const prompt = promptOf(seed)
    const before = await evaluated()
    const { choices, usage } = await complete({ ...sampling, prompt, n: 3 })
    expect((await evaluated()) - before).toBe(prompt.length)
    expect(usage).toMatchObject({ prompt_tokens: 40, completion_tokens: 24 })
    expect(usage.prompt_tokens_details.cached_tokens).toBe(0)
    for (const { index, token_ids: tokens } of choices) {
      const alone = await complete({ ...sampling, prompt, seed: seed + index })
      expect(alone.choices[0]!.token_ids).toEqual(tokens)
    }
  })

  it('count a cached prompt once, however many more there are than run at once', async () => {
    const prompt = promptOf(50)
    const fresh = await complete({ prompt, n: 10 })
    expect(fresh.usage.prompt_tokens_details.cached_tokens).toBe(0)
    const again = await complete({ prompt, n: 10 })
    expect(again.usage.prompt_tokens_details.cached_tokens).toBe(32)
    expect(again.choices.map((choice) => choice.token_ids)).toEqual(fresh.choices.map((choice) => choice.token_ids))
    expect(new Set(again.choices.map(({ text }) => text)).size).toBeGreaterThan(1)
  })

  it('share every prompt of a request that has several', async () => {
    const prompts = [promptOf(20), promptOf(30)]
    const before = await evaluated()
    const together = await complete({ prompt: prompts, n: 2 })
    expect((await evaluated()) - before).toBe(80)
    for (const [p, prompt] of prompts.entries())
      for (const repetition of [0, 1]) {
        const index = 2 * p + repetition
        const alone = await complete({ prompt, seed: 11 + index })
        expect(together.choices[index]!.token_ids).toEqual(alone.choices[0]!.token_ids)
      }
  })

  it('come in one stream, each whole', async () => {
    const prompt = promptOf(60)
    const texts = ['', '', '']
    for await (const chunk of client.stream<Chunk>('/v1/completions', bodyOf({ prompt, n: 3 })))
      for (const { index, text } of chunk.choices) texts[index] += text
    expect(texts).toEqual((await complete({ prompt, n: 3 })).choices.map(({ text }) => text))
  })

  it('go on where one of them ended at its stop text', async () => {
    const prompt = promptOf(70)
    const whole = await complete({ prompt, n: 3 })
    const [first] = whole.choices
    const stop = [...first!.text][2]!
    const cut = await complete({ prompt, n: 3, stop })
    for (const { index, text } of cut.choices) expect(text).toBe(whole.choices[index]!.text.split(stop)[0])
    expect(cut.choices[0]!.text.length).toBeLessThan(first!.text.length)
  })

  it('give everything back when their reader leaves', async () => {
    const leaving = new AbortController()
    const body = bodyOf({ prompt: promptOf(80), n: 3, max_tokens: 60 })
    const events = client.stream<Chunk>('/v1/completions', body, leaving.signal)
    await events.next()
    leaving.abort()
    const rest = async (): Promise<void> => {
      for await (const event of events) void event
    }
    await expect(rest()).rejects.toThrow()
    await expect.poll(async () => (await scrape(client)).get('troupe_engine_kv_pages_used')).toBe(0)
    await running.server.checkIntegrity()
  })
})
