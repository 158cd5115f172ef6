import { mkdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { curlArguments, startCommand } from '../support/command.ts'
import { temporaryFolder } from '../support/model-folder.ts'

const README = join(import.meta.dirname, '../../README.md')
const TIMEOUT = 180_000

/** Starts the server as somebody does who names neither model nor store. */
async function start(data: string): Promise<{ url: string; stop(): Promise<void> }> {
  const env = { XDG_DATA_HOME: data, XDG_CACHE_HOME: join(data, 'cache') }
  const server = startCommand(['serve', '--port', '0', '--threads', '1'], env)
  onTestFinished(() => void server.child.kill('SIGKILL'))
  const url = /http:\/\/[\d.]+:\d+/.exec(await server.until(/Try:/))![0]
  return {
    url,
    stop: async () => {
      server.child.kill('SIGINT')
      expect(await server.ended).toBe(0)
    },
  }
}

/** The bodies of the README's first examples by path, taken as a shell takes them. */
async function firstExamples(): Promise<[path: string, body: string][]> {
  const text = await readFile(README, 'utf8')
  const block = /## First steps\n[^]*?```sh\n([^]*?)```/.exec(text)![1]!
  return Promise.all(
    block.split('\n\n').map(async (line): Promise<[string, string]> => {
      const words = await curlArguments(line)
      const url = new URL(words.find((word) => word.startsWith('http://127.0.0.1:8080/'))!)
      return [url.pathname, words[words.indexOf('-d') + 1]!]
    }),
  )
}

async function tasksOf(url: string): Promise<string[]> {
  const { data } = (await (await fetch(`${url}/v1/tasks`)).json()) as { data: { task: string }[] }
  return data.map(({ task }) => task).sort()
}

const post = async (url: string, body: string): Promise<Response> =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })

it(
  'the first start of a new user answers the first examples of the README',
  async () => {
    const server = await start(await temporaryFolder())
    const answers: string[] = []
    for (const [path, body] of await firstExamples()) {
      const answer = await post(server.url + path, body)
      expect(answer.status, path).toBe(200)
      answers.push(await answer.text())
    }
    expect(answers).toHaveLength(3)
    expect(answers[0]).toContain('NK-84597')
    expect(answers[1]).toContain('SELECT number FROM orders WHERE total < 72 ORDER BY total;')
    expect(answers[2]).toContain('data: [DONE]')
    await server.stop()
  },
  TIMEOUT,
)

it.each(['folder', 'link'] as const)(
  'fills an empty %s once: what is deleted stays deleted',
  async (kind) => {
    const data = await temporaryFolder()
    const store = join(data, 'troupe/store')
    await mkdir(kind === 'folder' ? store : join(data, 'troupe'), { recursive: true })
    if (kind === 'link') {
      await mkdir(join(data, 'elsewhere'))
      await symlink(join(data, 'elsewhere'), store)
    }
    const first = await start(data)
    const tasks = await tasksOf(first.url)
    expect(tasks).toContain('ticket-json')
    expect((await fetch(`${first.url}/v1/tasks/ticket-json`, { method: 'DELETE' })).status).toBe(204)
    await first.stop()

    const second = await start(data)
    expect(await tasksOf(second.url)).toEqual(tasks.filter((name) => name !== 'ticket-json'))
    await second.stop()
  },
  TIMEOUT,
)
