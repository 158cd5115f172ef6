import { describe, expect, it } from 'vitest'
import { exampleLines, renderBanner } from '../../src/cli/banner.ts'
import type { Started } from '../../src/cli/banner.ts'
import { curlLine } from '../../src/cli/shell.ts'
import type { ModelInfo } from '../../src/core/model-info.ts'
import type { TaskRecord } from '../../src/catalogue/task.ts'
import { curlArguments } from '../support/command.ts'

function task(name: string, prompt: string | null): TaskRecord {
  return {
    ...{ name, prompt, description: '', routes: [], system: null, defaults: {}, history: [] },
    ...{ shadow: null, pinned: false },
    ...{ revision: 1, createdAt: '', updatedAt: '' },
  }
}

const TASKS = [
  task('ticket-json', 'Ticket:\n{input}\n\nJSON:\n'),
  task('ticket-reply', 'Ticket:\n{input}\n\nReply:\n'),
  task('acme/sql', 'Question:\n{input}\n\nSQL:\n'),
  task('plain', null),
]

function started(changes: Partial<Started> = {}): Started {
  const info = { name: 'demo', family: 'llama', layers: 5, precision: 'f32' } as ModelInfo
  return {
    ...{ url: 'http://127.0.0.1:8080', info, maxContext: 1024, maxBatch: 16, adapters: [] },
    ...{ tasks: TASKS, keyed: false, seconds: 1.26 },
    ...changes,
  }
}

describe('exampleLines', () => {
  it('prints three requests of different kinds whose JSON survives the shell', async () => {
    const requests = await Promise.all(exampleLines(started()).map(curlArguments))
    expect(requests.map((words) => words[1])).toEqual([
      'http://127.0.0.1:8080/v1/tasks/ticket-json/generate',
      'http://127.0.0.1:8080/v1/tasks/acme%2Fsql/generate',
      'http://127.0.0.1:8080/v1/tasks/plain/generate',
    ])
    const bodies = requests.map((words) => JSON.parse(words.at(-1)!) as { input: string; stream?: boolean })
    expect(bodies.map(({ stream }) => stream)).toEqual([undefined, true, undefined])
    expect(bodies[0]!.input).toContain('Diana Schmidt')
    const quoted = curlLine({ url: 'http://127.0.0.1/', body: { input: "I'm" } })
    expect(JSON.parse((await curlArguments(quoted)).at(-1)!)).toEqual({ input: "I'm" })
  })

  it('sends the key where one is needed and reaches a server that listens everywhere', async () => {
    const [line] = exampleLines(started({ keyed: true, url: 'http://0.0.0.0:80' }))
    expect(await curlArguments(`TROUPE_KEY=sk-1; ${line!}`)).toEqual(
      expect.arrayContaining(['http://127.0.0.1:80/v1/tasks/ticket-json/generate', 'Authorization: Bearer sk-1']),
    )
  })

  it('falls back to the base model in an empty store', async () => {
    const requests = await Promise.all(exampleLines(started({ tasks: [] })).map(curlArguments))
    expect(requests.map((words) => words[1])).toEqual([
      'http://127.0.0.1:8080/v1/models',
      'http://127.0.0.1:8080/v1/completions',
    ])
  })
})

it('the banner says where, with what and how long it took', () => {
  const banner = renderBanner(started())
  for (const part of ['after 1.3 s', 'http://127.0.0.1:8080/docs', 'demo (llama, 5 layers, f32)', '4: ticket-json'])
    expect(banner).toContain(part)
})
