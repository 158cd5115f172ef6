import { expect, it, onTestFinished } from 'vitest'
import { catalogueBook } from '../../src/catalogue/book.ts'
import { CatalogueState } from '../../src/catalogue/state.ts'
import { Journal } from '../../src/store/journal.ts'
import { curlArguments, runCommand, startCommand } from '../support/command.ts'
import { modelDir } from '../support/fixtures.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { ME, openLocation, QUIET } from '../support/store-folder.ts'

async function send(line: string): Promise<Response> {
  const words = await curlArguments(line)
  const body = words.indexOf('-d')
  return fetch(
    words[1]!,
    body < 0 ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, body: words[body + 1]! },
  )
}

/** A store with one task, made as a server makes it. */
async function writeTask(location: string, name: string, prompt: string): Promise<void> {
  const { store } = await openLocation(location)
  const state = new CatalogueState()
  const journal = await Journal.open({ store, books: [catalogueBook(state)], server: 'tests', log: QUIET })
  const empty = { description: '', routes: [], shadow: null, pinned: false, system: null, defaults: {} }
  await journal.append({ type: 'task.put', data: { name, prompt, ...empty, revision: 1, backTo: null } }, ME)
  await journal.close()
}

const TIMEOUT = 180_000

it(
  'prints requests that work, and finishes a running stream before it ends on a signal',
  async () => {
    const store = await temporaryFolder()
    await writeTask(store, 'try', 'Ticket: {input}')
    const flags = ['--model', modelDir('llama'), '--store', store]

    const server = startCommand([
      'serve',
      ...flags,
      '--port',
      '0',
      '--threads',
      '1',
      '--name',
      'tiny',
      '--shutdown-seconds',
      '3600',
    ])
    onTestFinished(() => void server.child.kill('SIGKILL'))
    const banner = await server.until(/Try:[^]*curl.*\n/)
    expect(banner).toContain('tiny (llama')
    const lines = banner.split('\n').filter((line) => line.startsWith('curl'))
    expect(lines).toHaveLength(1)
    for (const line of lines) expect((await send(line)).status).toBe(200)

    const url = /http:\/\/[\d.]+:\d+/.exec(banner)![0]
    const stream = await fetch(`${url}/v1/tasks/try/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input: 'Hi', stream: true, max_tokens: 200, ignore_eos: true }),
    })
    server.child.kill('SIGTERM')
    const text = await stream.text()
    expect(text).toContain('"finish_reason":"length"')
    expect(await server.ended).toBe(0)
    await expect(fetch(`${url}/health/live`)).rejects.toThrow()
  },
  TIMEOUT,
)

it(
  'says which address is taken',
  async () => {
    const flags = ['--model', modelDir('llama'), '--store', await temporaryFolder(), '--threads', '1']
    const first = startCommand(['serve', ...flags, '--port', '0'])
    onTestFinished(() => void first.child.kill('SIGKILL'))
    const port = /127\.0\.0\.1:(\d+)/.exec(await first.until(/Try:/))![1]!
    expect(await runCommand(['serve', ...flags, '--port', port])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/cannot listen on 127\.0\.0\.1 port \d+: another process listens there/) as string,
    })
  },
  TIMEOUT,
)
