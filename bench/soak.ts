import { parseArgs } from 'node:util'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import type { Findings } from '../test/chaos/scenarios/scale.ts'
import { runChurn } from '../test/soak/scenarios/churn.ts'
import { runRandom } from '../test/soak/scenarios/random.ts'
import { brokenOff, violationsRow } from './findings.ts'
import { figure, promise } from './groups.ts'
import { WrongFlag, begin } from './begin.ts'

const SAMPLE_MS = 2_000
const SAID_EVERY_MS = 60_000

interface Figure {
  readonly unit: string
  readonly least?: number
  readonly most?: number
}

/** A scenario of `test/soak` at full length, and which of its figures are promises. */
interface Scenario {
  readonly name: string
  readonly minutes: number
  readonly run: (seconds: number) => Promise<Findings>
  readonly figures: Readonly<Record<string, Figure>>
}

begin()
const { values: options } = parseArgs({
  options: {
    scenario: { type: 'string' },
    minutes: { type: 'string' },
    adapters: { type: 'string', default: '500' },
    'per-second': { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
})

const adapters = above0('adapters', options.adapters)
const perSecond = above0('per-second', options['per-second'])
const seed = above0('seed', options.seed)

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'churn',
    minutes: 60,
    run: (seconds) => runChurn({ adapters, seconds, perSecond, sampleMs: SAMPLE_MS, onProgress: saidNowAndThen() }),
    figures: {
      requests: { unit: '' },
      cancelled: { unit: '' },
      late: { unit: '' },
      changes: { unit: '' },
      failures: { unit: '', most: 0 },
      loads: { unit: '' },
      evictions: { unit: '' },
      samples: { unit: '' },
      residentWarmMiB: { unit: 'MiB' },
      residentEndMiB: { unit: 'MiB' },
      residentMostMiB: { unit: 'MiB' },
      growthPercent: { unit: '%', most: 5 },
      heapWarmMiB: { unit: 'MiB' },
      heapEndMiB: { unit: 'MiB' },
      externalWarmMiB: { unit: 'MiB' },
      externalEndMiB: { unit: 'MiB' },
    },
  },
  {
    name: 'random',
    minutes: 10,
    run: (seconds) => runRandom({ seconds, seed }),
    figures: {
      requests: { unit: '' },
      answered: { unit: '' },
      cancelled: { unit: '' },
      refused: { unit: '' },
      mixed: { unit: '' },
      changes: { unit: '' },
      uploads: { unit: '' },
      evictions: { unit: '' },
      checks: { unit: '' },
    },
  },
]

/** Says the first line, and then one a minute. */
function saidNowAndThen(): (line: string) => void {
  let next = 0
  return (line) => {
    if (performance.now() < next) return
    next = performance.now() + SAID_EVERY_MS
    console.error(line)
  }
}

function above0(flag: string, value: string): number {
  const number = Number(value)
  if (number > 0) return number
  throw new WrongFlag(`--${flag} takes a number above 0, not ${value}`)
}

function rowsOf({ name, figures }: Scenario, findings: Findings): Row[] {
  const rows = Object.entries(figures).map(([key, { unit, ...target }]): Row => {
    const [row, value] = [`${name}: ${key}`, findings.figures[key] ?? NaN]
    return target.least === undefined && target.most === undefined
      ? figure(row, value, unit)
      : promise(row, value, unit, target)
  })
  return [violationsRow(name, findings.violations), ...rows]
}

const chosen = options.scenario
const names = SCENARIOS.map(({ name }) => name)
if (chosen !== undefined && !names.includes(chosen))
  throw new WrongFlag(`--scenario takes one of ${names.join(', ')}, not ${chosen}`)
const rows: Row[] = []
for (const scenario of SCENARIOS) {
  if (chosen !== undefined && chosen !== scenario.name) continue
  const minutes = options.minutes === undefined ? scenario.minutes : above0('minutes', options.minutes)
  console.error(`${scenario.name}, ${minutes} minutes …`)
  try {
    rows.push(...rowsOf(scenario, await scenario.run(minutes * 60)))
  } catch (error) {
    rows.push(brokenOff(scenario.name, error))
  }
}
const said = process.argv.slice(2)
report(['npm run soak', ...(said.length > 0 ? ['--', ...said] : [])].join(' '), rows, options.json)
