import { createHash } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Rooms } from '../src/app/rooms.ts'
import type { Row } from '../src/bench/report.ts'
import { percentile } from '../src/bench/percentile.ts'
import { report } from '../src/bench/report.ts'
import type { Version } from '../src/catalogue/version.ts'
import type { AdapterHost } from '../src/engine/engine.ts'
import { writeNewFile, flush } from '../src/store/filesystem/durable.ts'
import { newRecord, recordKey, renderRecord } from '../src/store/record.ts'
import { scratchFolder } from '../test/support/at-exit.ts'
import { openLocation, STILL } from '../test/support/store-folder.ts'
import { begin } from './begin.ts'
import { writeVersions } from './synthetic/registered.ts'

const RESOLVES = 100_000
const OWNERS = 100
const APPENDS = 500
const LOOKS = 1_000

begin()
const { values: options } = parseArgs({
  options: { adapters: { type: 'string', default: '10000' }, json: { type: 'string' } },
})
const count = Number(options.adapters)
const fingerprint = `sha256:${'f'.repeat(64)}`
const info = { name: 'bench-base', fingerprint } as AdapterHost['info']
const host: AdapterHost = {
  info,
  maxContext: 64,
  hold: () => undefined,
  drop: () => undefined,
  generate: () => unused(),
}
const log = { info: () => undefined, warn: () => undefined, error: (fields: object) => console.error(fields) }

const root = scratchFolder('troupe-scale-')
try {
  report(`npm run bench:store -- --adapters ${count}`, await measure(), options.json)
} finally {
  await rm(root, { recursive: true, force: true })
}

/** Half of the adapters belong to owners, half to nobody; each has one version. Their files are never read. */
function versions(): Version[] {
  const sites = Array.from({ length: 64 }, (_, n) => `layers.${n >> 2}.${['q', 'k', 'v', 'o'][n & 3]}_proj`)
  return Array.from({ length: count }, (_, n) => ({
    adapter: adapterName(n),
    version: 1,
    digest: `sha256:${createHash('sha256').update(`${n}`).digest('hex')}`,
    blob: `${n.toString(36)}-${n.toString(16).padStart(12, '0')}`,
    createdAt: new Date(1_700_000_000_000 + n * 1_000).toISOString(),
    createdBy: 'bench',
    source: 'upload',
    format: 'peft',
    method: 'lora',
    rank: 8,
    sites,
    virtualTokens: 0,
    parameters: 1_000_000,
    bytes: 4_000_000,
    deviceBytes: 4_100_000,
    probe: { maxDifference: 1.25, kl: 0.125 },
    base: { name: info.name, fingerprint },
  }))
}

/** The same versions as records only, as a store has them before its first snapshot. */
async function writeRecords(folder: string): Promise<void> {
  await mkdir(join(folder, 'journal'), { recursive: true })
  for (const [index, version] of versions().entries()) {
    const record = newRecord(index + 1, { type: 'version.added', data: version }, { by: 'bench' }, 'bench')
    await writeFile(join(folder, recordKey(index + 1)), renderRecord(record))
  }
}

async function measure(): Promise<Row[]> {
  const [withSnapshot, withRecords] = [join(root, 'snapshot'), join(root, 'records')]
  await writeVersions(withSnapshot, versions())
  await writeRecords(withRecords)
  const replaySeconds = await secondsToOpen(withRecords)

  const before = heapBytes()
  const from = performance.now()
  const rooms = await open(withSnapshot)
  const startSeconds = (performance.now() - from) / 1_000
  const perAdapter = (heapBytes() - before) / count
  const { catalogue } = rooms
  const resolveMs = timed(RESOLVES, (n) => catalogue.resolve({ model: adapterName((n * 7_919) % count) }, '*'))
  const pageMs = timed(50, (n) => catalogue.pageAdapters('*', { after: adapterName(n * 100), limit: 100 }))
  const filteredMs = timed(50, (n) => catalogue.pageAdapters(`owner-${n}`, { prefix: `owner-${n}/`, limit: 100 }))
  const lookMs = await timedAsync(LOOKS, () => rooms.journal.follow())
  const { appends, flushes } = await appendTimes(rooms)
  await rooms.close()
  const beyond = percentile(appends, 0.99) - percentile(flushes, 0.99)
  return [
    row('start, from a snapshot', startSeconds, 's', 1),
    row('start, from as many records', replaySeconds, 's', null),
    row('memory per idle adapter', perAdapter, 'B', 2_048),
    row('resolve', resolveMs, 'ms', 0.02),
    row('page of 100', pageMs, 'ms', null),
    row('page of 100, filtered', filteredMs, 'ms', null),
    row('look for changes, nothing changed', lookMs, 'ms', null),
    row('append a record, median', percentile(appends, 0.5), 'ms', null),
    row('append a record, p99', percentile(appends, 0.99), 'ms', null),
    row('two flushes of a disk, p99', percentile(flushes, 0.99), 'ms', null),
    row('append beyond two flushes, p99', beyond, 'ms', 10),
  ]
}

/** Milliseconds of appended records, and by turns of what the disk takes for the two flushes in each. */
async function appendTimes(rooms: Rooms): Promise<{ readonly appends: number[]; readonly flushes: number[] }> {
  const appends: number[] = []
  const flushes: number[] = []
  const folder = join(root, 'flushes')
  await mkdir(folder)
  for (let n = 0; n < APPENDS; n++) {
    appends.push(await msOf(() => rooms.changes.putTask(`task-${n % 10}`, { description: `${n}` }, { by: 'bench' })))
    flushes.push(
      await msOf(async () => {
        await writeNewFile(join(folder, `${n}`), 'x'.repeat(500))
        await flush(folder)
      }),
    )
  }
  return { appends, flushes }
}

async function secondsToOpen(folder: string): Promise<number> {
  const from = performance.now()
  const rooms = await open(folder)
  const seconds = (performance.now() - from) / 1_000
  await rooms.close()
  return seconds
}

async function open(folder: string): Promise<Rooms> {
  const memory = { budgetBytes: 2 ** 30 }
  return Rooms.open({ open: await openLocation(folder), host, memory, log, pace: STILL, reader: unused })
}

function adapterName(n: number): string {
  return n % 2 === 0 ? `adapter-${n}` : `owner-${n % OWNERS}/adapter-${n}`
}

/** Mean milliseconds of a call. */
function timed(calls: number, call: (n: number) => unknown): number {
  const from = performance.now()
  for (let n = 0; n < calls; n++) call(n)
  return (performance.now() - from) / calls
}

async function timedAsync(calls: number, call: () => Promise<unknown>): Promise<number> {
  const from = performance.now()
  for (let n = 0; n < calls; n++) await call()
  return (performance.now() - from) / calls
}

async function msOf(call: () => Promise<unknown>): Promise<number> {
  const from = performance.now()
  await call()
  return performance.now() - from
}

function heapBytes(): number {
  setFlagsFromString('--expose_gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function row(name: string, value: number, unit: string, most: number | null): Row {
  return { name, value, unit, target: most === null ? null : `≤ ${most}`, met: most === null ? null : value <= most }
}

function unused(): never {
  throw new Error('nothing is loaded or run here')
}
