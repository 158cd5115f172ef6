import { mkdir, rm, writeFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { AdapterHost } from '../src/engine/engine.ts'
import { Registry } from '../src/registry/registry.ts'
import { renderVersion } from '../src/registry/store/documents.ts'
import { SETTLED_MS } from '../src/registry/store/disk.ts'
import type { VersionDocument } from '../src/registry/store/port.ts'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { scratchFolder } from '../test/support/at-exit.ts'
import { begin } from './begin.ts'

const RESOLVES = 100_000
const OWNERS = 100
const SCANS = 10

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
  hold: () => Promise.resolve(0),
  drop: () => undefined,
  generate: () => unused(),
}
const log = { info: () => undefined, warn: () => undefined, error: (fields: object) => console.error(fields) }

const storeDir = scratchFolder('troupe-scale-')
try {
  await writeStore()
  report(`npm run bench:store -- --adapters ${count}`, await measure(), options.json)
} finally {
  await rm(storeDir, { recursive: true, force: true })
}

/** Half of the adapters belong to owners, half to nobody; each has one version. The weights are never read. */
async function writeStore(): Promise<void> {
  const sites = Array.from({ length: 64 }, (_, n) => `layers.${n >> 2}.${['q', 'k', 'v', 'o'][n & 3]}_proj`)
  for (let n = 0; n < count; n++) {
    const hex = createHash('sha256').update(`${n}`).digest('hex')
    const document: VersionDocument = {
      adapter: adapterName(n),
      version: 1,
      digest: `sha256:${hex}`,
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
    }
    const dir = join(storeDir, 'adapters', document.adapter, hex)
    await mkdir(dir, { recursive: true })
    await writeFile(join(dir, 'version.json'), renderVersion(document))
    await writeFile(join(dir, 'adapter_config.json'), '{}')
    await writeFile(join(dir, 'adapter_model.safetensors'), 'x')
  }
}

async function measure(): Promise<Row[]> {
  const before = heapBytes()
  const from = performance.now()
  const registry = await open()
  const firstSeconds = (performance.now() - from) / 1_000
  const perAdapter = (heapBytes() - before) / count

  // What was written lately is read again; the second look after that finds a store at rest.
  await sleep(SETTLED_MS)
  for (let n = 0; n < 2; n++) await registry.scan()
  const [scanFrom, cpuFrom] = [performance.now(), process.cpuUsage()]
  for (let n = 0; n < SCANS; n++) await registry.scan()
  const scanSeconds = (performance.now() - scanFrom) / 1_000 / SCANS
  const { user, system } = process.cpuUsage(cpuFrom)

  const resolveMs = timed(RESOLVES, (n) => registry.resolve({ model: adapterName((n * 7_919) % count) }, '*'))
  const pageMs = timed(50, (n) => registry.pageAdapters('*', { prefix: '', after: adapterName(n * 100), limit: 100 }))
  const filteredMs = timed(50, (n) =>
    registry.pageAdapters(`owner-${n}`, { prefix: `owner-${n}/`, after: '', limit: 100 }),
  )
  await registry.close()

  const againFrom = performance.now()
  const again = await open()
  const againSeconds = (performance.now() - againFrom) / 1_000
  await again.close()
  return [
    row('start to ready, first time', firstSeconds, 's', 3),
    row('start to ready, again', againSeconds, 's', 3),
    row('memory per idle adapter', perAdapter, 'B', 2_048),
    row('resolve', resolveMs, 'ms', 0.1),
    row('page of 100', pageMs, 'ms', null),
    row('page of 100, filtered', filteredMs, 'ms', null),
    row('look for changes, nothing changed', scanSeconds, 's', null),
    row('the same, processor time', (user + system) / 1_000 / SCANS, 'ms', null),
  ]
}

function open(): Promise<Registry> {
  return Registry.open({ storeDir, host, memoryBytes: 2 ** 30, log, scanIntervalMs: 3_600_000, reader: unused })
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
