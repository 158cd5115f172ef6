import { spawn } from 'node:child_process'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { endAtExit, scratchFolder } from '../test/support/at-exit.ts'
import { startServerProcess } from '../test/support/server-process.ts'
import { begin } from './begin.ts'
import { preparePython } from './python.ts'

/**
 * Sends what schemathesis makes of the served document, valid and not, to a server with the bundled model and adapters. Every answer must be one that
 * the document has, of its form; none may be an error of the server, and none may fail to come.
 */

const ROOT = join(import.meta.dirname, '..')
const KEY = 'schemathesis-key'
const TIMEOUT_SECONDS = 60
const MIN_CASES = 10_000
/** What schemas cannot say: that a prompt fits into the context, that of two fields one is given, that a name exists. */
const LEFT_OUT = 'positive_data_acceptance'

interface Found {
  readonly test_cases: { readonly generated: number; readonly errored: number }
  readonly operations: { readonly total: number; readonly tested: number }
  readonly failures: readonly {
    readonly title: string
    readonly count: number
    readonly operations: readonly string[]
  }[]
  readonly errors: readonly { readonly title: string; readonly count: number }[]
}

begin()
const { values: options } = parseArgs({
  options: {
    python: { type: 'string' },
    seed: { type: 'string', default: '1' },
    examples: { type: 'string', default: '160' },
    json: { type: 'string' },
  },
})
const pins = join(import.meta.dirname, 'schemathesis/requirements.txt')
const python = options.python ?? (await preparePython(join(ROOT, '.cache/schemathesis'), pins))

const work = scratchFolder('troupe-schemathesis-')
cpSync(join(ROOT, 'adapters-store'), join(work, 'store'), { recursive: true })
writeFileSync(join(work, 'keys.json'), JSON.stringify([{ tenant: 'acme', key: KEY, role: 'admin' }]))
// Answers are short: it is their form that matters.
const flags = ['--max-context', '96', '--keys', join(work, 'keys.json'), '--threads', '1']
const server = await startServerProcess(join(ROOT, 'models/demo'), join(work, 'store'), flags)
try {
  const found = await explore()
  const { failures, errors, test_cases: cases, operations } = found
  const alive = await fetch(`${server.url}/health/ready`).then(({ status }) => status === 200)
  const rows: Row[] = [
    { name: 'cases', value: cases.generated, unit: '', target: `≥ ${MIN_CASES}`, met: cases.generated >= MIN_CASES },
    { name: 'operations tested', value: operations.tested, unit: '', target: `${operations.total}`, met: operations.tested === operations.total }, // prettier-ignore
    none('cases that failed', failures.reduce((sum, { count }) => sum + count, 0)), // prettier-ignore
    ...failures.map(({ title, count, operations: places }) => none(`${title}, of ${places.length} operations`, count)),
    none('cases without an answer', cases.errored),
    ...errors.map(({ title, count }) => ({ ...none(`schemathesis itself: ${title}`, count), target: null, met: null })),
    { name: 'ready afterwards', value: Number(alive), unit: '', target: '1', met: alive },
  ]
  report(`npm run schemathesis -- --seed ${options.seed} --examples ${options.examples}`, rows, options.json)
} finally {
  await server.kill()
  rmSync(work, { recursive: true, force: true })
}

/** One run of all that schemathesis does without knowing more than the document; what fails it says itself, with a line to repeat it. */
async function explore(): Promise<Found> {
  const result = join(work, 'found.json')
  // As a header of all requests it would also go with those that must have none.
  writeFileSync(join(work, 'schemathesis.toml'), `[auth.openapi.bearer]\nbearer = "${KEY}"\n`)
  const args = ['run', `${server.url}/openapi.json`]
  args.push('--phases', 'examples,coverage,fuzzing', '--checks', 'all', '--exclude-checks', LEFT_OUT)
  args.push('--max-examples', options.examples, '--seed', options.seed, '--continue-on-failure', '--no-shrink')
  args.push(
    '--workers',
    '2',
    '--request-timeout',
    String(TIMEOUT_SECONDS),
    '--report',
    'json',
    '--report-json-path',
    result,
  )
  const child = endAtExit(spawn(join(dirname(python), 'schemathesis'), args, { cwd: work, stdio: ['ignore', 2, 2] }))
  await once(child, 'close')
  return JSON.parse(readFileSync(result, 'utf8')) as Found
}

function none(name: string, value: number): Row {
  return { name, value, unit: '', target: '0', met: value === 0 }
}
