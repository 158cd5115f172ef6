import { parseArgs } from 'node:util'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { coldLoadsInTurns, runFleet } from '../test/fleet/scenarios/fleet.ts'
import type { GatewayKind } from '../test/support/gateway.ts'
import { GATEWAYS, noGateway } from '../test/support/gateway.ts'
import { begin, WrongFlag } from './begin.ts'
import { brokenOff, violationsRow } from './findings.ts'

/** Cold loads beside the one that every adapter needs. */
const MOST_LOADS_PER_ADAPTER = 1.2

begin()
const { values } = parseArgs({
  options: {
    gateway: { type: 'string' },
    adapters: { type: 'string', default: '20' },
    requests: { type: 'string', default: '600' },
    json: { type: 'string' },
  },
})
const [adapters, requests] = [Number(values.adapters), Number(values.requests)]
if (!(adapters >= 1 && requests >= 1)) throw new WrongFlag('--adapters and --requests take numbers from 1')
if (values.gateway !== undefined && !GATEWAYS.some((kind) => kind === values.gateway)) {
  throw new WrongFlag(`--gateway takes one of ${GATEWAYS.join(', ')}, not ${values.gateway}`)
}

async function rowsOf(kind: GatewayKind): Promise<Row[]> {
  const reason = noGateway(kind)
  if (reason !== null) return [{ name: kind, value: null, unit: '', target: null, met: null, note: reason }]
  try {
    const { violations, figures } = await runFleet(kind, { adapters, requests })
    const row = (key: string, target: string | null, met: boolean | null, unit = ''): Row => {
      return { name: `${kind}: ${key}`, value: figures[key] ?? null, unit, target, met }
    }
    const atMost = (key: string, most: number): Row => row(key, `≤ ${most}`, (figures[key] ?? Infinity) <= most)
    return [
      violationsRow(kind, violations),
      row('requests', null, null),
      ...['lost', 'wrong', 'split'].map((key) => atMost(key, 0)),
      row('brokenOff', null, null),
      row('coldLoads', null, null),
      atMost('coldLoadsPerAdapter', MOST_LOADS_PER_ADAPTER),
    ]
  } catch (error) {
    return [brokenOff(kind, error)]
  }
}

const rows: Row[] = []
for (const kind of GATEWAYS.filter((one) => values.gateway === undefined || values.gateway === one)) {
  console.error(`${kind} …`)
  rows.push(...(await rowsOf(kind)))
}
console.error('in turns …')
const inTurns = (await coldLoadsInTurns({ adapters, requests })) / adapters
rows.push({ name: 'in turns: coldLoadsPerAdapter', value: inTurns, unit: '', target: null, met: null })
report(`npm run fleet -- --adapters ${adapters} --requests ${requests}`, rows, values.json)
