import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Answer } from '../support/client.ts'
import { Client } from '../support/client.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'

/** Written by transformers, peft and adapters: see test/fixtures/generate/README.md. */
interface Expected {
  readonly cases: readonly {
    readonly name: string
    readonly mix: readonly { readonly adapter: string; readonly scale: number }[]
    readonly prompts: readonly {
      readonly tokens: readonly number[]
      readonly prompt_logprobs: readonly (number | null)[]
      readonly greedy: readonly number[]
      readonly greedy_logprobs: readonly number[]
    }[]
  }[]
}

interface Completion {
  readonly choices: readonly {
    readonly token_ids: readonly number[]
    readonly logprobs: { readonly token_logprobs: readonly (number | null)[] }
  }[]
}

const TOLERANCE = 1e-3
const BATCH = 8
const FIXTURES = join(import.meta.dirname, '../fixtures/conformance')

describe.each(['llama', 'qwen2', 'qwen3'])('%s', (family) => {
  const dir = join(FIXTURES, family)
  const expected = JSON.parse(readFileSync(join(dir, 'expected.json'), 'utf8')) as Expected
  const samples = expected.cases.flatMap(({ name, mix, prompts }) =>
    prompts.map((prompt, index) => ({ name: `${name} #${index}`, mix, prompt })),
  )
  type Sample = (typeof samples)[number]
  let server: RunningServer
  let client: Client

  beforeAll(async () => {
    server = await startTestServer({ model: join(dir, 'model'), maxBatch: BATCH, prefillChunk: 16 })
    client = new Client(server.url)
    for (const adapter of readdirSync(join(dir, 'adapters'))) {
      const answer = await client.uploadFolder(adapter, join(dir, 'adapters', adapter))
      expect(answer.status, JSON.stringify(answer.body)).toBe(201)
    }
  })
  afterAll(() => server.close())

  /** One request: prompt log-probabilities, then 32 greedy tokens. */
  async function complete({ mix, prompt }: Sample): Promise<Completion['choices'][number]> {
    const answer: Answer<Completion> = await client.post('/v1/completions', {
      model: 'model',
      prompt: prompt.tokens,
      adapters: mix.map(({ adapter, scale }) => ({ name: adapter, scale })),
      max_tokens: prompt.greedy.length,
      temperature: 0,
      echo: true,
      logprobs: 0,
      ignore_eos: true,
      return_token_ids: true,
    })
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    return answer.body.choices[0]!
  }

  function check({ prompt }: Sample, choice: Completion['choices'][number]): void {
    expect(choice.token_ids).toEqual(prompt.greedy)
    const logprobs = choice.logprobs.token_logprobs
    expect(logprobs[0]).toBeNull()
    const reference = [...prompt.prompt_logprobs, ...prompt.greedy_logprobs]
    expect(logprobs.length).toBe(reference.length)
    const differences = reference.map((value, i) => (value === null ? 0 : Math.abs(logprobs[i]! - value)))
    expect(Math.max(...differences)).toBeLessThan(TOLERANCE)
  }

  it.each(samples)('$name alone', async (sample) => check(sample, await complete(sample)))

  it(`every case inside a mixed batch of ${BATCH}`, async () => {
    // Neighbours in a batch come from different cases, and every case meets several others.
    const stride = 7
    const shuffled = samples.map((_, i) => samples[(i * stride) % samples.length]!)
    expect(new Set(shuffled).size).toBe(samples.length)
    for (let i = 0; i < shuffled.length; i += BATCH) {
      const batch = shuffled.slice(i, i + BATCH)
      const filler = shuffled.slice(0, BATCH - batch.length)
      const choices = await Promise.all([...batch, ...filler].map(complete))
      for (const [j, sample] of batch.entries()) check(sample, choices[j]!)
    }
  })
})
