import { parseArgs } from 'node:util'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import type { SimulationFigures } from '../test/fleet/scenarios/simulation.ts'
import { simulate } from '../test/fleet/scenarios/simulation.ts'
import { begin, WrongFlag } from './begin.ts'

const UNITS: Readonly<Record<keyof SimulationFigures, string>> = {
  requests: '',
  coldLoads: '',
  coldShare: '',
  loadedGigabytes: 'GB',
  evictions: '',
  adaptersPerReplica: '',
  mostAdapters: '',
  busiestShare: '',
  sharedAdapters: '',
  sentAgain: '',
  p50WaitMs: 'ms',
  p99WaitMs: 'ms',
}
const FAILS = { from: 0.5, to: 0.6 }

begin()
const { values } = parseArgs({
  options: {
    replicas: { type: 'string', default: '8' },
    adapters: { type: 'string', default: '1000' },
    requests: { type: 'string', default: '100000' },
    'per-second': { type: 'string', default: '80' },
    'memory-gb': { type: 'string', default: '8' },
    zipf: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
})
const numberOf = (name: Exclude<keyof typeof values, 'json'>): number => {
  const value = Number(values[name])
  if (!(value > 0)) throw new WrongFlag(`--${name} takes a number above 0, not ${values[name]}`)
  return value
}
const plan = {
  replicas: numberOf('replicas'),
  adapters: numberOf('adapters'),
  requests: numberOf('requests'),
  perSecond: numberOf('per-second'),
  memoryBytes: numberOf('memory-gb') * 1e9,
  zipf: numberOf('zipf'),
}

const rows: Row[] = []
const scenarios = [
  { name: 'by adapter', placement: 'affinity', fails: null },
  { name: 'by adapter, one fails', placement: 'affinity', fails: FAILS },
  { name: 'in turns', placement: 'turns', fails: null },
] as const
for (const { name, ...how } of scenarios) {
  const figures = await simulate({ ...plan, ...how })
  for (const key of Object.keys(UNITS) as (keyof SimulationFigures)[])
    rows.push({ name: `${name}: ${key}`, value: figures[key], unit: UNITS[key], target: null, met: null })
}
const flags = `--replicas ${plan.replicas} --adapters ${plan.adapters} --memory-gb ${plan.memoryBytes / 1e9}`
report(`npm run simulate -- ${flags}`, rows, values.json)
