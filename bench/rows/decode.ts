import { setTimeout as sleep } from 'node:timers/promises'
import type { Target } from '../../src/bench/completion-stream.ts'
import { Client } from '../../test/support/client.ts'
import { scrape } from '../../test/support/scrape.ts'
import type { BenchContext } from '../context.ts'
import { BASE, ROWS } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, promise } from '../groups.ts'
import { alternate, median } from '../measure/alternate.ts'
import { runBatch } from '../measure/batch.ts'
import type { Row } from '../../src/bench/report.ts'
import type { AdapterKind } from '../synthetic/adapters.ts'

/** A batch by the models its requests name: so many adapters of a family, or the base, in so many rows. */
interface Batch {
  readonly title: string
  readonly kind: AdapterKind | null
  readonly distinct: number
  readonly rows: number
}

const BASE_BATCH: Batch = { title: `${ROWS} on the base`, kind: null, distinct: 0, rows: ROWS }
const BASE_ONE: Batch = { title: 'one on the base', kind: null, distinct: 0, rows: 1 }

/** Looks at the number of graphs, and how many in a row must find nothing new. */
const LOOK_MS = 1_000
const QUIET_LOOKS = 3

/** Rows of the table: a batch with adapters, the batch it is compared with, and the least ratio of their decode speeds. */
const RATIOS: Readonly<Record<string, { readonly over: Batch; readonly under: Batch; readonly least: number }>> = {
  'rank-16': { over: different('rank-16', 'rank-16 adapters'), under: BASE_BATCH, least: 0.75 },
  'rank-8': { over: different('rank-8', 'rank-8 adapters'), under: BASE_BATCH, least: 0.85 },
  'query-value': {
    over: different('query-value', 'rank-16 adapters of query and value'),
    under: BASE_BATCH,
    least: 0.93,
  },
  bottleneck: { over: different('bottleneck', 'bottleneck adapters'), under: BASE_BATCH, least: 0.85 },
  'one-adapter': {
    over: { title: `${ROWS} on one rank-16 adapter`, kind: 'rank-16', distinct: 1, rows: ROWS },
    under: BASE_BATCH,
    least: 0.95,
  },
  'one-request': {
    over: { title: 'one on a rank-16 adapter', kind: 'rank-16', distinct: 1, rows: 1 },
    under: BASE_ONE,
    least: 0.85,
  },
}

function different(kind: AdapterKind, what: string): Batch {
  return { title: `${ROWS} on different ${what}`, kind, distinct: ROWS, rows: ROWS }
}

/** What adapters cost while every row decodes. */
export const DECODE: Group = {
  name: 'decode',
  rows: Object.keys(RATIOS),
  run: async (context, rows, progress) => {
    const ratios = [...rows].map((name) => RATIOS[name]!)
    const batches = new Set(ratios.flatMap(({ under, over }) => [under, over]))
    const runs = new Map<string, () => Promise<number>>()
    for (const batch of batches) runs.set(batch.title, await prepare(context, batch))
    const samples = await alternate(runs, context.options, progress)

    const speeds = new Map([...samples].map(([title, values]): [string, number] => [title, median(values)]))
    const speedRows = [...speeds].map(([title, speed]) => figure(`decode: ${title}`, speed, 'tokens/s'))
    const ratioRows = ratios.map(({ over, under, least }): Row => {
      const value = speeds.get(over.title)! / speeds.get(under.title)!
      return promise(`decode: ${over.title} / ${under.title}`, value, '×', { least })
    })
    return [...ratioRows, ...speedRows]
  },
}

/** Uploads what the batch needs. @returns runs it once and gives tokens per second of decoding */
async function prepare(context: BenchContext, { kind, distinct, rows }: Batch): Promise<() => Promise<number>> {
  const server = await context.server()
  const names = kind === null ? [BASE] : await context.adapters(server, kind, distinct)
  const models = Array.from({ length: rows }, (_, row) => names[row % names.length]!)
  const run = async (): Promise<number> => (await runBatch(server, models, context.options)).decodePerSecond
  await run()
  await settled(server)
  return run
}

/** Waits until the server has used the quiet for the graphs that suit what it has seen. */
async function settled(server: Target): Promise<void> {
  const client = new Client(server.url)
  const graphs = async (): Promise<number | undefined> => (await scrape(client)).get('troupe_engine_graphs')
  for (let before = await graphs(), quiet = 0; quiet < QUIET_LOOKS;) {
    await sleep(LOOK_MS)
    const now = await graphs()
    quiet = now === before ? quiet + 1 : 0
    before = now
  }
}
