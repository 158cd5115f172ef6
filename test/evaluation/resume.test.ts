import { expect, it } from 'vitest'
import { scratchFolder } from '../support/at-exit.ts'
import { Client } from '../support/client.ts'
import { modelDir } from '../support/fixtures.ts'
import { startServerProcess } from '../support/server-process.ts'

interface Evaluation {
  readonly id: string
  readonly status: string
  readonly progress: { readonly done: number | null; readonly total: number }
  readonly mixes: readonly { readonly failed: number }[]
}

const ITEMS = 2_000

it('goes on after a kill -9 of its server, with the answers that were kept', async () => {
  const store = scratchFolder('troupe-evaluation-')
  const first = await startServerProcess(modelDir('llama'), store)
  const items = Array.from({ length: ITEMS }, (_, i) => ({ prompt: `item ${i}`, expected: 'x' }))
  const wish = { mixes: [{ model: 'base' }], items, max_tokens: 8 }
  const made = await new Client(first.url).post<Evaluation>('/v1/evaluations', wish)
  expect(made.status, JSON.stringify(made.body)).toBe(202)
  const path = `/v1/evaluations/${made.body.id}`
  /** Of the first thousand. */
  const answersAt = async (url: string): Promise<number> => {
    const { body } = await new Client(url).get<{ data: readonly unknown[] }>(`${path}/answers?limit=1000`)
    return body.data.length
  }
  await expect.poll(() => answersAt(first.url), { timeout: 60_000 }).toBeGreaterThan(0)
  await first.kill()

  const second = await startServerProcess(modelDir('llama'), store)
  const client = new Client(second.url)
  const kept = await answersAt(second.url)
  expect(kept).toBeGreaterThan(0)
  await expect
    .poll(async () => (await client.get<Evaluation>(path)).body.status, { timeout: 120_000, interval: 250 })
    .toBe('done')
  expect((await client.get<Evaluation>(path)).body).toMatchObject({
    progress: { done: ITEMS, total: ITEMS },
    mixes: [{ failed: 0 }],
  })
  // What was kept was not run again, and there was something to go on with.
  const { body: metrics } = await client.get<string>('/metrics')
  const [, run] = /troupe_generations_total\{[^}]*status="ok"\} (\d+)/.exec(metrics)!
  expect(Number(run)).toBeGreaterThan(0)
  expect(Number(run)).toBeLessThanOrEqual(ITEMS - kept)
  await second.kill()
}, 240_000)
