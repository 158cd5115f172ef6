import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Client } from '../support/client.ts'
import { adapterFiles, modelDir } from '../support/fixtures.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'

interface Chunk {
  readonly choices: readonly { readonly text: string; readonly finish_reason: string | null }[]
  readonly provenance?: { readonly adapters: readonly { readonly version: string; readonly digest: string }[] }
}

interface Streamed {
  readonly text: string
  readonly versions: readonly string[]
}

const STREAMS = 16
const BODY = { input: 'Bruno sold', max_tokens: 400, temperature: 0, ignore_eos: true }

let server: RunningServer
let client: Client

beforeAll(async () => {
  server = await startTestServer({ model: modelDir('qwen2'), maxBatch: 2 * STREAMS })
  client = new Client(server.url)
  await client.upload('swapped', adapterFiles('qwen2', 'lora-r8'))
  await client.put('/v1/tasks/demo', { adapter: 'swapped' })
})
afterAll(() => server.close())

/** Reads a whole stream; `onFirst` is called at its first chunk. */
async function stream(onFirst?: () => void): Promise<Streamed> {
  let text = ''
  let versions: readonly string[] = []
  for await (const chunk of client.stream<Chunk>('/v1/tasks/demo/generate', BODY)) {
    onFirst?.()
    onFirst = undefined
    text += chunk.choices.map((choice) => choice.text).join('')
    if (chunk.provenance) versions = chunk.provenance.adapters.map(({ version }) => version)
  }
  return { text, versions }
}

async function reference(model: string): Promise<string> {
  const { input, ...rest } = BODY
  const answer = await client.post<Chunk>('/v1/completions', { model, prompt: input, ...rest })
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  return answer.body.choices[0]!.text
}

describe('a new version while 16 streams run', () => {
  it('lets old requests finish on the old version and starts new ones on the new', async () => {
    // Each lane streams one answer after the other until the swap, so that 16 run when it comes, however long the upload takes.
    const running = new Set<Promise<Streamed>>()
    const swapped = { yet: false }
    const lane = async (onFirst: () => void): Promise<void> => {
      do {
        // Counted from its first chunk on: before that the request may not have been resolved yet.
        const answer: Promise<Streamed> = stream(() => {
          running.add(answer)
          onFirst()
        })
        await answer
        running.delete(answer)
      } while (!swapped.yet)
    }
    const started: Promise<void>[] = []
    const lanes = Array.from({ length: STREAMS }, () => {
      let first!: () => void
      started.push(new Promise((resolve) => (first = resolve)))
      return lane(first)
    })
    await Promise.all(started)

    const upload = await client.upload<{ version: string }>('swapped', adapterFiles('qwen2', 'lora-r4'))
    expect([upload.status, upload.body.version]).toEqual([201, 'v2'])
    // Between two answers of all lanes nobody runs for a moment.
    while (running.size === 0) await new Promise((resolve) => setImmediate(resolve))
    const old = [...running]
    const activating = client.post('/v1/tasks/demo/activate', { adapter: 'swapped' })
    swapped.yet = true
    const activation = await activating
    expect(activation.status, JSON.stringify(activation.body)).toBe(200)

    const fresh = await Promise.all(Array.from({ length: STREAMS }, () => stream()))
    const before = await Promise.all(old)
    await Promise.all(lanes)
    const [v1, v2] = [await reference('swapped@v1'), await reference('swapped@v2')]
    expect(v1).not.toBe(v2)
    for (const result of before) expect(result).toEqual({ text: v1, versions: ['v1'] })
    for (const result of fresh) expect(result).toEqual({ text: v2, versions: ['v2'] })
  })

  it('goes back with rollback', async () => {
    const answer = await client.post('/v1/tasks/demo/rollback', {})
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    expect((await stream()).versions).toEqual(['v1'])
  })
})
