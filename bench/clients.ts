import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { scratchFolder } from '../test/support/at-exit.ts'
import { startServerProcess } from '../test/support/server-process.ts'
import { begin } from './begin.ts'
import { clientsPage } from './clients-page.ts'
import type { ClientCalls } from './clients-page.ts'
import type { RefusedUpload } from './clients/uploads.ts'
import { refusedUploads } from './clients/uploads.ts'
import { preparePython, runScript } from './python.ts'

/** Calls a server through the Python packages that people use, and shows which calls work with which of them. */

const ROOT = join(import.meta.dirname, '..')
const SCRIPTS = ['openai', 'litellm', 'langchain', 'llama_index', 'instructor']

begin()
const { values: options } = parseArgs({
  options: { python: { type: 'string' }, trl: { type: 'string' }, json: { type: 'string' } },
})
const pins = join(import.meta.dirname, 'clients/requirements.txt')
const python = options.python ?? (await preparePython(join(ROOT, '.cache/clients'), pins))

const work = scratchFolder('troupe-clients-')
const model = join(work, 'demo')
cpSync(join(ROOT, 'models/demo'), model, { recursive: true })
// The bundled model has learnt no tools; the form of calls is all that the clients need of it.
cpSync(join(import.meta.dirname, 'clients/tools.jinja'), join(model, 'chat_template.jinja'))
const server = await startServerProcess(model, join(work, 'store'))
const clients: ClientCalls[] = []
let uploads: RefusedUpload[] = []
try {
  for (const script of SCRIPTS) {
    console.error(`${script} …`)
    clients.push(await callsOf(script, python))
  }
  // It needs PyTorch, so it has a Python of its own.
  if (options.trl !== undefined) clients.push(await callsOf('trl', options.trl))
  console.error('uploads that are refused …')
  uploads = await refusedUploads(python, model, work)
} finally {
  await server.kill()
  rmSync(work, { recursive: true, force: true })
}

report(
  `npm run clients${options.trl === undefined ? '' : ' -- --trl PYTHON'}`,
  [
    ...clients.flatMap(rowsOf),
    ...uploads.map(({ client, call, fault }) => rowOf(`${client}: refused upload, ${call}`, fault)),
  ],
  options.json,
)
// A page without one of them would look as if it did not work.
if (options.trl !== undefined) writeFileSync(join(ROOT, 'docs/clients.md'), clientsPage(clients, uploads))

async function callsOf(script: string, python: string): Promise<ClientCalls> {
  const path = join(import.meta.dirname, 'clients', `${script}_package.py`)
  const lines = await runScript(python, [path], { TROUPE_URL: server.url })
  const [head, ...calls] = lines.map((line) => JSON.parse(line) as unknown)
  return { ...(head as Pick<ClientCalls, 'package' | 'version'>), calls: calls as ClientCalls['calls'] }
}

function rowsOf({ package: name, calls }: ClientCalls): Row[] {
  return calls.map(({ call, fault }) => rowOf(`${name}: ${call}`, fault))
}

function rowOf(name: string, fault: string | null): Row {
  const row = { name, value: Number(fault === null), unit: '', target: '1', met: fault === null }
  return fault === null ? row : { ...row, note: fault }
}
