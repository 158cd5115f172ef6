import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { inspectAdapter } from '../src/adapters/read.ts'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { scratchFolder } from '../test/support/at-exit.ts'
import { Client } from '../test/support/client.ts'
import type { ReferenceFolder, Sample } from '../test/support/conformance.ts'
import { TOLERANCE, complete, deviation, readReference, samplesOf, shuffled } from '../test/support/conformance.ts'
import { startServerProcess } from '../test/support/server-process.ts'
import type { Result, Refusal } from './conformance-page.ts'
import { compatibilityPage, summarise } from './conformance-page.ts'
import { WrongFlag, begin } from './begin.ts'

/** Rows of the mixed batches: different cases, several at once. */
const BATCH = 8
const ROOT = join(import.meta.dirname, '..')
const FIXTURES = join(ROOT, 'test/fixtures/conformance')
const PAGE = join(ROOT, 'docs/compatibility.md')

interface ErrorAnswer {
  readonly error?: { readonly message: string }
}

begin()
const { values: options } = parseArgs({
  options: { folders: { type: 'string' }, dir: { type: 'string' }, json: { type: 'string' } },
})
const all = readdirSync(FIXTURES).sort()
const names = options.folders?.split(',') ?? all
const unknown = names.find((folder) => !all.includes(folder))
if (unknown !== undefined) throw new WrongFlag(`--folders takes some of ${all.join(', ')}, not ${unknown}`)
const folders = options.dir === undefined ? names.map((name) => join(FIXTURES, name)) : [resolve(options.dir)]

const results: Result[] = []
const refusals: Refusal[] = []
for (const folder of folders) {
  console.error(`${folder} …`)
  await compare(readReference(folder))
}
const isAll = options.folders === undefined && options.dir === undefined
const only = options.dir === undefined ? ` -- --folders ${options.folders}` : ` -- --dir ${options.dir}`
report(`npm run conformance${isAll ? '' : only}`, summarise(results).flatMap(rowsOf), options.json)
// A page of some of the families would look as if the others were not served.
if (isAll) writeFileSync(PAGE, compatibilityPage(results, refusals))

/** Serves a folder's model with all of its adapters and asks every sample twice: alone, and among seven of other cases. */
async function compare(reference: ReferenceFolder): Promise<void> {
  const store = scratchFolder('troupe-conformance-')
  const flags = ['--precision', 'f32', '--threads', '1', '--name', 'model', '--max-batch', String(BATCH)]
  const server = await startServerProcess(reference.model, store, [...flags, '--prefill-chunk', '16'])
  try {
    const client = new Client(server.url)
    const served = await upload(client, reference)
    const samples = samplesOf(reference.cases.filter(({ mix }) => mix.every(({ adapter }) => served.has(adapter))))
    const answered: Sample[] = []
    for (const sample of samples) if (await measure(client, reference, sample, 'alone')) answered.push(sample)
    const order = shuffled(answered)
    for (let i = 0; i < order.length; i += BATCH)
      await Promise.all(order.slice(i, i + BATCH).map((sample) => measure(client, reference, sample, 'mixed')))
  } finally {
    await server.kill()
    rmSync(store, { recursive: true, force: true })
  }
}

/** Uploads the adapters, those that must be refused too; returns the names of the accepted ones. */
async function upload(client: Client, { family, adapters, refused }: ReferenceFolder): Promise<ReadonlySet<string>> {
  const served = new Set<string>()
  for (const [name, dir] of [...adapters, ...refused]) {
    const { status, body } = await client.uploadFolder<ErrorAnswer>(name, dir)
    if (status === 201) served.add(name)
    else refusals.push({ family, what: name, reason: body.error?.message ?? `status ${status}` })
  }
  return served
}

/** Asks for one sample and takes note of the deviation, or of the refusal; returns whether it was answered. */
async function measure(
  client: Client,
  { family, adapters }: ReferenceFolder,
  sample: Sample,
  batch: Result['batch'],
): Promise<boolean> {
  const { status, body } = await complete(client, sample)
  if (status !== 200) {
    const reason = (body as ErrorAnswer).error?.message ?? `status ${status}`
    refusals.push({ family, what: sample.name.replace(/ #\d+$/, ''), reason })
    return false
  }
  const methods = sample.mix.map(({ adapter }) => methodOf(adapters.get(adapter)!))
  const method = sample.composition ?? ([...new Set(methods)].sort().join(' + ') || 'base model')
  results.push({ family, method, batch, samples: 1, ...deviation(sample, body) })
  return true
}

/** What the files call the method: PEFT's type, or AdapterHub's architecture. */
function methodOf(dir: string): string {
  const { config } = inspectAdapter(dir)
  const name = config.peft_type ?? (config.config as { architecture?: unknown } | undefined)?.architecture
  const variant = config.use_dora === true ? ' (DoRA)' : ''
  return typeof name === 'string'
    ? `${'peft_type' in config ? 'PEFT' : 'AdapterHub'} ${name}${variant}`
    : 'AdapterHub bottleneck'
}

function rowsOf({ family, method, batch, logprobs, sameTokens }: Result): Row[] {
  const name = `${family}, ${method}, ${batch}`
  return [
    {
      name: `${name}: log-probabilities`,
      value: logprobs * 1e6,
      unit: 'µnat',
      target: `≤ ${TOLERANCE * 1e6}`,
      met: logprobs <= TOLERANCE,
    },
    { name: `${name}: 32 tokens equal`, value: Number(sameTokens), unit: '', target: '= 1', met: sameTokens },
  ]
}
