import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Precision } from '../src/core/model-info.ts'
import { PRECISIONS } from '../src/core/model-info.ts'
import { prepareModel } from '../src/model/prepare.ts'
import { Tokenizer } from '../src/text/tokenizer.ts'
import { scratchFolder } from '../test/support/at-exit.ts'
import type { Distance } from './fidelity/compare.ts'
import { DistanceSum } from './fidelity/compare.ts'
import { WindowLogits } from './fidelity/logits.ts'
import { heldoutText, pagesText, trainedModels } from './fidelity/models.ts'
import type { Published } from './fidelity/page.ts'
import { renderFidelity } from './fidelity/page.ts'
import { permutedCopy } from './fidelity/permute.ts'
import { begin } from './begin.ts'
import { figure, promise } from './groups.ts'
import type { Row } from '../src/bench/report.ts'
import { machine, report } from '../src/bench/report.ts'

/**
 * How much the rounding of weights changes what models predict: every family's small trained model in every precision against itself in f32,
 * on held-out text of the demo corpus, and a published checkpoint on the text of our own pages, as it was stored and with its channels in another
 * order. Writes docs/fidelity.md.
 *
 *     npm run fidelity -- [--windows 32] [--published DIR] [--json FILE]
 *
 * DIR: a Hugging Face folder; test/fixtures/generate/published.py makes one as OUT/model.
 */

const WINDOW = 128
/** Most divergence from f32, in thousandths of a nat. */
const MOST: Readonly<Record<string, number>> = {
  'published, int8': 6,
  'published, int4': 75,
  'published, other order, int8': 6,
  'published, other order, int4': 75,
}

begin()
const { values: options } = parseArgs({
  options: {
    windows: { type: 'string', default: '32' },
    published: { type: 'string' },
    json: { type: 'string' },
  },
})
const work = scratchFolder('troupe-fidelity-')
const root = join(import.meta.dirname, '..')

try {
  const { models, missing } = trainedModels()
  if (missing.length > 0) console.error(`not measured, train them with bench/fidelity/train.py: ${missing.join(', ')}`)
  const windows = await readWindows(join(root, 'models/demo'), heldoutText())
  const families = new Map<string, Map<string, Distance>>()
  for (const { family, dir } of models) {
    families.set(family, await compare(windows, everyPrecision(dir)))
  }
  const published = options.published === undefined ? null : await comparePublished(options.published)
  const positions = windows.length * (WINDOW - 1)
  writeFileSync(
    join(root, 'docs/fidelity.md'),
    renderFidelity({ families, published, missing, positions, machine: machine() }),
  )
  const rows = [
    ...[...families].flatMap(([name, found]) => rowsOf(name, found)),
    ...(published === null
      ? []
      : [...rowsOf('published', published.stored), ...rowsOf('published, other order', published.permuted)]),
  ]
  report('npm run fidelity', rows, options.json)
} finally {
  rmSync(work, { recursive: true })
}

interface Run {
  readonly name: string
  readonly dir: string
  readonly precision: Precision
}

function everyPrecision(dir: string): Run[] {
  return PRECISIONS.map((precision) => ({ name: precision, dir, precision }))
}

async function comparePublished(dir: string): Promise<Published> {
  const windows = await readWindows(dir, pagesText())
  const permuted = permutedCopy(dir, join(work, 'permuted'))
  return {
    stored: await compare(windows, everyPrecision(dir)),
    permuted: await compare(windows, everyPrecision(permuted)),
    positions: windows.length * (WINDOW - 1),
  }
}

/** A text in windows of a model's tokens. */
async function readWindows(dir: string, text: string): Promise<number[][]> {
  const tokenizer = await Tokenizer.load(dir)
  const tokens = tokenizer.encode(text, { addSpecialTokens: false })
  const count = Math.min(Number(options.windows), Math.floor(tokens.length / WINDOW))
  return Array.from({ length: count }, (_, i) => tokens.slice(i * WINDOW, (i + 1) * WINDOW))
}

/** Distances of several runs from the first. */
async function compare(windows: readonly number[][], runs: readonly Run[]): Promise<Map<string, Distance>> {
  const opened = await Promise.all(
    runs.map(async ({ name, dir, precision }) => ({
      name,
      logits: WindowLogits.open(
        await prepareModel({ modelDir: dir, precision, cacheDir: join(work, 'cache') }),
        WINDOW,
      ),
      sum: new DistanceSum(),
    })),
  )
  for (const window of windows) {
    const reference = opened[0]!.logits.of(window)
    for (const { logits, sum } of opened) sum.add(reference, logits.of(window), window)
  }
  for (const { logits } of opened) await logits.close()
  return new Map(opened.map(({ name, sum }) => [name, sum.result()]))
}

function rowsOf(family: string, distances: ReadonlyMap<string, Distance>): Row[] {
  const none = { target: null, met: null }
  return [...distances].flatMap(([run, { divergence, agreement, perplexity }]) => [
    divergenceRow(`${family}, ${run}`, 1000 * divergence),
    { name: `${family}, ${run}: same first choice`, value: agreement, unit: '%', ...none },
    { name: `${family}, ${run}: perplexity`, value: perplexity, unit: '', ...none },
  ])
}

function divergenceRow(name: string, value: number): Row {
  const most = MOST[name]
  const title = `${name}: divergence`
  return most === undefined ? figure(title, value, 'mnat') : promise(title, value, 'mnat', { most })
}
