import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Precision } from '../src/core/model-info.ts'
import { prepareModel } from '../src/model/prepare.ts'
import { Tokenizer } from '../src/text/tokenizer.ts'
import { scratchFolder } from '../test/support/at-exit.ts'
import type { Distance } from './fidelity/compare.ts'
import { DistanceSum } from './fidelity/compare.ts'
import { WindowLogits } from './fidelity/logits.ts'
import { heldoutText, pagesText, roundedCopy, trainedModels } from './fidelity/models.ts'
import type { Published } from './fidelity/page.ts'
import { renderFidelity } from './fidelity/page.ts'
import { begin } from './begin.ts'
import type { Row } from '../src/bench/report.ts'
import { machine, report } from '../src/bench/report.ts'

/**
 * How much the rounding of weights changes what models predict: every family's small trained model in int8 and int4 against itself in f32,
 * on held-out text of the demo corpus, and a published checkpoint on the text of our own pages. Writes docs/fidelity.md.
 *
 *     npm run fidelity -- [--windows 32] [--published DIR] [--json FILE]
 *
 * DIR: a Hugging Face folder; test/fixtures/generate/published.py makes one as OUT/model.
 */

const WINDOW = 128
/** Roundings to 4 bits that are looked at with exact products. */
const EXACT = [
  { size: 32, head: false },
  { size: 32, head: true },
  { size: 128, head: false },
]
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
  const demo = models[0]!.dir
  const settings = await compare(windows, [
    { name: 'f32', dir: demo, precision: 'f32' },
    { name: 'blocks of 32, int8 activations (`int4`)', dir: demo, precision: 'int4' },
    ...EXACT.map(({ size, head }) => ({
      name: `blocks of ${size}, f32 activations${head ? ', head at 4 bits too' : ''}`,
      dir: roundedCopy(demo, work, size, head),
      precision: 'f32' as const,
    })),
  ])
  const published = options.published === undefined ? null : await comparePublished(options.published)
  const positions = windows.length * (WINDOW - 1)
  writeFileSync(
    join(root, 'docs/fidelity.md'),
    renderFidelity({ families, settings, published, missing, positions, machine: machine() }),
  )
  const rows = [
    ...[...families].flatMap(([name, found]) => rowsOf(name, found)),
    ...rowsOf('llama', settings),
    ...(published === null ? [] : rowsOf('published', published.runs)),
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
  return (['f32', 'int8', 'int4'] as const).map((precision) => ({ name: precision, dir, precision }))
}

async function comparePublished(dir: string): Promise<Published> {
  const windows = await readWindows(dir, pagesText())
  return { runs: await compare(windows, everyPrecision(dir)), positions: windows.length * (WINDOW - 1) }
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
      logits: await WindowLogits.open(await prepareModel({ modelDir: dir, precision, cacheDir: join(work, 'cache') })),
      sum: new DistanceSum(),
    })),
  )
  for (const window of windows) {
    const reference = await opened[0]!.logits.of(window)
    for (const { logits, sum } of opened) sum.add(reference, await logits.of(window), window)
  }
  for (const { logits } of opened) await logits.close()
  return new Map(opened.map(({ name, sum }) => [name, sum.result()]))
}

function rowsOf(family: string, distances: ReadonlyMap<string, Distance>): Row[] {
  const none = { target: null, met: null }
  return [...distances].flatMap(([run, { divergence, agreement, perplexity }]) => [
    { name: `${family}, ${run}: divergence`, value: 1000 * divergence, unit: 'mnat', ...none },
    { name: `${family}, ${run}: same first choice`, value: agreement, unit: '%', ...none },
    { name: `${family}, ${run}: perplexity`, value: perplexity, unit: '', ...none },
  ])
}
