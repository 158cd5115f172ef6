import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { startServer } from '../../src/app/start.ts'

/**
 * Puts the freshly trained adapters into the bundled store, the way any client would: upload over HTTP, then a task that points at the version.
 *
 *     npm run demo:install
 */

interface Task {
  readonly task: string
  readonly kind: string
  readonly prompt: string
  readonly max_tokens: number
  readonly adapters: readonly { readonly name: string; readonly method: string }[]
}

const here = import.meta.dirname
const tasks = JSON.parse(readFileSync(join(here, 'tasks.json'), 'utf8')) as Task[]
const server = await startServer({ store: join(here, '../../adapters-store'), port: 0, logLevel: 'warn' })
try {
  for (const { task, kind, prompt, max_tokens, adapters } of tasks) {
    for (const { name } of adapters) await upload(name)
    const description = `${kind}; trained as ${adapters.map(({ name, method }) => `${method} (${name})`).join(' and ')}`
    await send('PUT', `/v1/tasks/${task}`, {
      adapter: adapters[0]!.name,
      description,
      prompt,
      defaults: { max_tokens },
    })
  }
} finally {
  await server.close()
}

async function upload(name: string): Promise<void> {
  const dir = join(here, 'adapters', name)
  const form = new FormData()
  for (const file of readdirSync(dir)) form.append('files', new Blob([readFileSync(join(dir, file))]), file)
  await request(`/v1/adapters/${name}/versions`, { method: 'POST', body: form })
}

async function send(method: string, path: string, body: object): Promise<void> {
  await request(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
}

async function request(path: string, init: RequestInit): Promise<void> {
  const response = await fetch(server.url + path, init)
  const text = await response.text()
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`)
  console.log(`${response.status} ${path}`)
}
