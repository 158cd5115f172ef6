import { parseArgs } from 'node:util'
import { rmSync } from 'node:fs'
import type { Findings } from '../test/chaos/scenarios/scale.ts'
import { fuzzReader, fuzzUploads } from '../test/fuzz/runs.ts'
import { scratchFolder } from '../test/support/at-exit.ts'
import { Client } from '../test/support/client.ts'
import { modelDir } from '../test/support/fixtures.ts'
import { startServerProcess } from '../test/support/server-process.ts'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { violationsRow } from './findings.ts'
import { WrongFlag, begin } from './begin.ts'

begin()
const { values: options } = parseArgs({
  options: {
    count: { type: 'string', default: '20000' },
    uploads: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    minutes: { type: 'string', default: '20' },
    json: { type: 'string' },
  },
})
const [count, uploads, seed, from, minutes] = [
  options.count,
  options.uploads,
  options.seed,
  options.from,
  options.minutes,
].map((text, i) => {
  const value = Number(text)
  if (Number.isFinite(value) && value >= 0) return value
  throw new WrongFlag(`--${['count', 'uploads', 'seed', 'from', 'minutes'][i]} takes a number from 0 on, not ${text}`)
}) as [number, number, number, number, number]

const UNITS: Readonly<Record<string, string>> = { slowestMs: 'ms', growthMib: 'MiB' }
const rows: Row[] = []
const seconds = minutes * 30
const maxMs = 2000
rows.push(...rowsOf('reader', count, await fuzzReader({ seed, from, count, seconds, maxMs })))

const store = scratchFolder('troupe-fuzz-')
const server = await startServerProcess(modelDir('llama'), store)
try {
  const client = new Client(server.url)
  rows.push(...rowsOf('uploads', uploads, await fuzzUploads(client, { seed, from, count: uploads, seconds, maxMs })))
  const { status } = await client.get('/health/ready')
  rows.push({ name: 'uploads: ready afterwards', value: status, unit: '', target: '= 200', met: status === 200 })
} finally {
  await server.kill()
  rmSync(store, { recursive: true, force: true })
}
report(`npm run fuzz -- --count ${count} --uploads ${uploads} --seed ${seed} --from ${from}`, rows, options.json)

function rowsOf(name: string, wanted: number, { violations, figures }: Findings): Row[] {
  return [
    violationsRow(name, violations),
    ...Object.entries(figures).map(([key, value]): Row => {
      const promised = key === 'cases'
      const target = promised ? `≥ ${wanted}` : null
      return { name: `${name}: ${key}`, value, unit: UNITS[key] ?? '', target, met: promised ? value >= wanted : null }
    }),
  ]
}
