import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startServerProcess } from '../../test/support/server-process.ts'
import { runScript } from '../python.ts'

/** Uploads that are refused while they are on their way, through several HTTP clients. */

const BYTES = 64 * 2 ** 20
const KEY = 'uploads-key-1'
const MOST_SECONDS = 60
const run = promisify(execFile)

/** What became of one upload and of the next request. */
export interface RefusedUpload {
  readonly client: string
  readonly call: string
  /** Null = the client could read the refusal, and its next request was answered. */
  readonly fault: string | null
}

interface Refusal {
  readonly call: string
  readonly adapter: string
  readonly file: string
  /** Times 64 MiB. */
  readonly times: number
  readonly key: string
  readonly status: number
  readonly code: string
}

/** The same as in uploads.py. */
const REFUSALS: readonly Refusal[] = [
  { call: 'wrong key', adapter: 'big', file: 'adapter_model.safetensors', times: 1, key: 'wrong-key-1', status: 401, code: 'invalid_api_key' }, // prettier-ignore
  { call: 'bad name', adapter: 'Big Name', file: 'adapter_model.safetensors', times: 1, key: KEY, status: 400, code: 'invalid_request' }, // prettier-ignore
  {
    call: 'pickle',
    adapter: 'big',
    file: 'adapter_model.bin',
    times: 1,
    key: KEY,
    status: 400,
    code: 'pickle_refused',
  },
  { call: 'too large', adapter: 'big', file: 'adapter_model.safetensors', times: 2, key: KEY, status: 413, code: 'upload_too_large' }, // prettier-ignore
]

/** @param folder for the store and what is sent */
export async function refusedUploads(python: string, model: string, folder: string): Promise<RefusedUpload[]> {
  const keys = join(folder, 'keys.json')
  writeFileSync(keys, JSON.stringify([{ tenant: 'acme', key: KEY, role: 'admin' }]))
  const flags = ['--threads', '1', '--keys', keys, '--upload-limit', String(1.5 * BYTES)]
  const server = await startServerProcess(model, join(folder, 'uploads-store'), flags)
  try {
    const env = { TROUPE_URL: server.url, TROUPE_UPLOAD_KEY: KEY }
    const lines = await runScript(python, [join(import.meta.dirname, 'uploads.py')], env)
    const found = lines.map((line) => JSON.parse(line) as RefusedUpload)
    const body = join(folder, 'body')
    for (const refusal of REFUSALS) {
      writeFileSync(body, new Uint8Array(BYTES * refusal.times))
      found.push(await tried('curl', refusal, byCurl(server.url, body, refusal)))
      found.push(await tried('Node', refusal, byNode(server.url, refusal)))
    }
    return found
  } finally {
    await server.kill()
  }
}

async function tried(client: string, { call, status, code }: Refusal, sent: Promise<string>): Promise<RefusedUpload> {
  const wanted = `${status} ${code} 200`
  try {
    const found = await sent
    return { client, call, fault: found === wanted ? null : `${found} in place of ${wanted}` }
  } catch (error) {
    return { client, call, fault: String(error).slice(0, 300) }
  }
}

/** Both requests over one connection. */
async function byCurl(url: string, body: string, { adapter, file, key }: Refusal): Promise<string> {
  const first = ['-sS', '-m', String(MOST_SECONDS), '-H', `authorization: Bearer ${key}`, '-F', `files=@${body};filename=${file}`] // prettier-ignore
  const second = ['-sS', '-m', String(MOST_SECONDS), '-o', '/dev/null', '-H', `authorization: Bearer ${KEY}`]
  const { stdout } = await run('curl', [
    ...[...first, '-w', '\n%{http_code}\n', uploadUrl(url, adapter)],
    ...['--next', ...second, '-w', '%{http_code}', `${url}/v1/models`],
  ])
  const [answer = '', status, after] = stdout.split('\n')
  return `${status} ${codeOf(answer)} ${after}`
}

async function byNode(url: string, { adapter, file, times, key }: Refusal): Promise<string> {
  const form = new FormData()
  form.append('files', new Blob([new Uint8Array(BYTES * times)]), file)
  const signal = AbortSignal.timeout(MOST_SECONDS * 1000)
  const headers = { authorization: `Bearer ${key}` }
  const answer = await fetch(uploadUrl(url, adapter), { method: 'POST', body: form, headers, signal })
  const code = codeOf(await answer.text())
  const after = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${KEY}` }, signal })
  return `${answer.status} ${code} ${after.status}`
}

function uploadUrl(url: string, adapter: string): string {
  return `${url}/v1/adapters/${encodeURIComponent(adapter)}/versions`
}

function codeOf(answer: string): string {
  return (JSON.parse(answer) as { error: { code: string } }).error.code
}
