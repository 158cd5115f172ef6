import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { scratchFolder } from '../test/support/at-exit.ts'
import { Client } from '../test/support/client.ts'
import { modelDir } from '../test/support/fixtures.ts'
import { startServerProcess } from '../test/support/server-process.ts'
import { FAMILY } from '../test/chaos/scenarios/adapters.ts'
import { runFlip } from '../test/chaos/scenarios/flip.ts'
import { runKills } from '../test/chaos/scenarios/kill.ts'
import { runContest } from '../test/chaos/scenarios/contest.ts'
import { runOutage } from '../test/chaos/scenarios/outage.ts'
import { runPressure } from '../test/chaos/scenarios/pressure.ts'
import { runRaces } from '../test/chaos/scenarios/races.ts'
import type { Findings, Scale } from '../test/chaos/scenarios/scale.ts'
import { runServerKills } from '../test/chaos/scenarios/server-kill.ts'
import { BUCKET_SERVERS } from '../test/support/s3-server.ts'
import type { Stores } from '../test/support/stores.ts'
import { FOLDERS, openBuckets } from '../test/support/stores.ts'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { brokenOff, violationsRow } from './findings.ts'
import { WrongFlag, begin } from './begin.ts'

/** A scenario of `test/chaos` at full size, and which of its figures are promises. */
interface Scenario {
  readonly name: string
  readonly run: (scale: Scale & { readonly stores: Stores }) => Promise<Findings>
  readonly requests: number
  readonly rounds: number
  /** Part of the time it may take. */
  readonly share: number
  readonly figures: Readonly<Record<string, Figure>>
}

interface Figure {
  readonly unit: string
  readonly least?: number
  readonly most?: number
}

/** How long the store is gone, in all. */
const OUTAGE_SECONDS = 61

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'flip',
    run: async (scale) => {
      // In a process of its own: the latencies are the server's and not those of the clients' event loop.
      const [store, cacheDir] = [await scale.stores.create(), scratchFolder('troupe-flip-')]
      const flags = ['--precision', 'f32', '--threads', '1', '--cache-dir', cacheDir]
      const server = await startServerProcess(modelDir(FAMILY), store, flags)
      try {
        return await runFlip(new Client(server.url), scale)
      } finally {
        await server.kill()
        scale.stores.remove(store)
        rmSync(cacheDir, { recursive: true, force: true })
      }
    },
    requests: 10_000,
    rounds: 1,
    share: 0.25,
    figures: {
      requests: { unit: '', least: 10_000 },
      flipEveryMs: { unit: 'ms' },
      activations: { unit: '' },
      rollbacks: { unit: '' },
      uploads: { unit: '' },
      deletions: { unit: '' },
      drained: { unit: '' },
      versions: { unit: '' },
      calmP99Ms: { unit: 'ms' },
      p99Ms: { unit: 'ms' },
      p99Ratio: { unit: '×', most: 1.25 },
    },
  },
  {
    name: 'server-kill',
    run: runServerKills,
    requests: 0,
    rounds: 150,
    share: 0.3,
    figures: {
      kills: { unit: '', least: 150 },
      acknowledged: { unit: '' },
      drained: { unit: '' },
      duringUploads: { unit: '' },
      duringActivations: { unit: '' },
      duringDeletions: { unit: '' },
      restartMs: { unit: 'ms' },
    },
  },
  {
    name: 'writer-kill',
    run: runKills,
    requests: 0,
    rounds: 200,
    share: 0.2,
    figures: {
      kills: { unit: '', least: 200 },
      acknowledged: { unit: '' },
      pending: { unit: '' },
      early: { unit: '' },
      openMs: { unit: 'ms' },
    },
  },
  {
    name: 'pressure',
    run: runPressure,
    requests: 4_000,
    rounds: 1,
    share: 0.1,
    figures: {
      requests: { unit: '' },
      evictions: { unit: '' },
      scrapes: { unit: '' },
      perSecondFitting: { unit: '1/s' },
      perSecond: { unit: '1/s' },
      throughputRatio: { unit: '×', least: 0.5 },
      p99FittingMs: { unit: 'ms' },
      p99Ms: { unit: 'ms' },
    },
  },
  {
    name: 'races',
    run: runRaces,
    requests: 0,
    rounds: 100,
    share: 0.05,
    figures: { races: { unit: '' }, steps: { unit: '' }, clients: { unit: '' } },
  },
  {
    name: 'contest',
    run: runContest,
    requests: 1_000,
    rounds: 1,
    share: 0.05,
    figures: {
      servers: { unit: '' },
      changes: { unit: '', least: 1_000 },
      applied: { unit: '' },
      conflicts: { unit: '' },
      perSecond: { unit: '1/s' },
    },
  },
  {
    name: 'outage',
    run: (scale) => runOutage({ ...scale, seconds: Math.min(scale.seconds, OUTAGE_SECONDS) }),
    requests: 0,
    rounds: 1,
    share: 0.05,
    figures: {
      outageSeconds: { unit: 's', least: 60 },
      requests: { unit: '' },
      duringOutage: { unit: '' },
      loads: { unit: '' },
      refusedChanges: { unit: '' },
      slowestRefusalMs: { unit: 'ms' },
      recoveryMs: { unit: 'ms' },
    },
  },
]

/** Tests of what is no matter of quantity; their stores are folders. */
const SUITES = ['disk', 'full-disk', 'complaints']

function rowsOf({ name, figures }: Scenario, findings: Findings): Row[] {
  const rows = Object.entries(figures).map(([key, { unit, least, most }]): Row => {
    const value = findings.figures[key] ?? NaN
    const target = least !== undefined ? `≥ ${least}` : most !== undefined ? `≤ ${most}` : null
    const met = target === null ? null : value >= (least ?? -Infinity) && value <= (most ?? Infinity)
    return { name: `${name}: ${key}`, value, unit, target, met }
  })
  return [violationsRow(name, findings.violations), ...rows]
}

/** The troubles that are not a matter of quantity, as tests. */
function runSuites(): Row {
  const files = SUITES.map((suite) => `test/chaos/${suite}`)
  const { status, stdout, stderr } = spawnSync('npx', ['vitest', 'run', ...files], {
    cwd: join(import.meta.dirname, '..'),
    encoding: 'utf8',
  })
  const failed = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('FAIL'))
  return violationsRow(TROUBLES, status === 0 || failed.length > 0 ? failed : ['the tests did not run'])
}

/** The row of a scenario that is not one but a set of tests. */
const TROUBLES = 'troubles'
const NAMES = [...SCENARIOS.map(({ name }) => name), TROUBLES]

begin()
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
    scenario: { type: 'string' },
    store: { type: 'string', default: 'folder' },
    json: { type: 'string' },
  },
})
const minutes = Number(values.minutes)
if (!(minutes > 0)) throw new WrongFlag(`--minutes takes a number above 0, not ${values.minutes}`)
const chosen = values.scenario
if (chosen !== undefined && !NAMES.includes(chosen)) {
  throw new WrongFlag(`--scenario takes one of ${NAMES.join(', ')}, not ${chosen}`)
}
const bucketServer = BUCKET_SERVERS.find((kind) => kind === values.store)
if (bucketServer === undefined && values.store !== FOLDERS.kind) {
  throw new WrongFlag(`--store takes one of folder, ${BUCKET_SERVERS.join(', ')}, not ${values.store}`)
}

const stores = bucketServer === undefined ? FOLDERS : await openBuckets(bucketServer)
const rows: Row[] = []
for (const scenario of SCENARIOS) {
  const { name, run, requests, rounds, share } = scenario
  if (chosen !== undefined && chosen !== name) continue
  // A scenario that runs alone has all the time.
  const seconds = (chosen === undefined ? share : 1) * minutes * 60
  console.error(`${name} …`)
  try {
    rows.push(...rowsOf(scenario, await run({ requests, rounds, seconds, stores })))
  } catch (error) {
    rows.push(brokenOff(name, error))
  }
}
stores.close()
if (chosen === TROUBLES || (chosen === undefined && stores === FOLDERS)) rows.push(runSuites())
const only = chosen === undefined ? '' : ` --scenario ${chosen}`
const place = stores === FOLDERS ? '' : ` --store ${stores.kind}`
report(`npm run chaos -- --minutes ${minutes}${only}${place}`, rows, values.json)
