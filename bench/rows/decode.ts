import type { BenchContext } from '../context.ts'
import { BASE, DECODED, ROWS } from '../context.ts'
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

/** Rows of the table: a batch with adapters, the batch it is compared with, and the least ratio of their decode speeds. */
const RATIOS: Readonly<Record<string, { readonly over: Batch; readonly under: Batch; readonly least: number }>> = {
  'rank-16': { over: different('rank-16', 'rank-16 adapters'), under: BASE_BATCH, least: 0.8 },
  'rank-8': { over: different('rank-8', 'rank-8 adapters'), under: BASE_BATCH, least: 0.88 },
  'query-value': {
    over: different('query-value', 'rank-16 adapters of query and value'),
    under: BASE_BATCH,
    least: 0.95,
  },
  bottleneck: { over: different('bottleneck', 'bottleneck adapters'), under: BASE_BATCH, least: 0.85 },
  'one-adapter': {
    over: { title: `${ROWS} on one rank-16 adapter`, kind: 'rank-16', distinct: 1, rows: ROWS },
    under: BASE_BATCH,
    least: 0.93,
  },
  'one-request': {
    over: { title: 'one on a rank-16 adapter', kind: 'rank-16', distinct: 1, rows: 1 },
    under: BASE_ONE,
    least: 0.9,
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
  const sizes = {
    ...context.options,
    newTokens: rows === 1 ? context.options.newTokens : DECODED * context.options.newTokens,
  }
  return async () => (await runBatch(server, models, sizes)).decodePerSecond
}
