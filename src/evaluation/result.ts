import type { Answers } from './answers.ts'
import { Breath } from './breath.ts'
import type { ItemAnswer } from './item-run.ts'
import { jsonFields } from './json-scores.ts'
import type { Score } from './item-scores.ts'
import { scorers } from './item-scores.ts'
import { PASS_METRICS } from './record.ts'
import type { EvaluationResult, EvaluationSpec, Metric } from './record.ts'
import type { Item } from './set.ts'
import { bootstrap, mcNemar } from './statistics.ts'
import type { Estimate } from './statistics.ts'

const MOST_FIELDS = 100
const LARGEST_PERPLEXITY = 1e300

/** Rows of one mix and metric, one per item: `[score]`, or `[log-likelihood, tokens]`. */
type Rows = readonly (readonly number[])[]

/** Scores all answers, with pauses for requests. @throws TroupeError as `scorers` */
export async function resultOf(
  spec: EvaluationSpec,
  items: readonly Item[],
  answers: Answers,
): Promise<EvaluationResult> {
  const score = scorers(spec)
  const ofMix = spec.mixes.map((_, mix) => items.map((_item, item) => answers.of(mix, item)))
  const rows: Rows[][] = []
  for (const metric of spec.metrics) {
    const ofMetric: Rows[] = []
    for (const given of ofMix) ofMetric.push(await rowsOf(metric, score, given, items))
    rows.push(ofMetric)
  }
  const settings = { confidence: spec.confidence, seed: spec.seed }
  const mixes: EvaluationResult['mixes'][number][] = []
  for (const [mix, given] of ofMix.entries()) {
    const metrics: Record<string, Estimate> = {}
    for (const [m, metric] of spec.metrics.entries()) {
      metrics[metric] = await bootstrap(rows[m]![mix]!, statisticOf(metric), settings)
    }
    mixes.push({
      metrics,
      ...factsOf(given),
      fields: spec.metrics.includes('json_fields') ? fieldsOf(given, items) : {},
    })
  }
  const comparisons: EvaluationResult['comparisons'][number][] = []
  for (const [m, metric] of spec.metrics.entries()) {
    for (const [a, b] of pairs(spec.mixes.length)) {
      const [one, other] = [rows[m]![a]!, rows[m]![b]!]
      const passed = (of: Rows): boolean[] => of.map(([value]) => value === 1)
      comparisons.push({
        ...{ a, b, metric },
        difference: await differenceOf(metric, one, other, settings),
        mcnemar: PASS_METRICS.includes(metric) ? mcNemar(passed(one), passed(other)) : null,
      })
    }
  }
  return { mixes, comparisons }
}

async function rowsOf(
  metric: Metric,
  score: ReadonlyMap<Metric, Score>,
  given: readonly (ItemAnswer | null)[],
  items: readonly Item[],
): Promise<Rows> {
  const breath = new Breath()
  const rows: number[][] = []
  for (const [i, answer] of given.entries()) {
    if (metric === 'perplexity') rows.push([answer?.likelihood?.sum ?? 0, answer?.likelihood?.tokens ?? 0])
    else rows.push([answer?.error === null ? score.get(metric)!(answer, items[i]!) : 0])
    await breath.take()
  }
  return rows
}

type Statistic = (sums: readonly number[], count: number) => number

function statisticOf(metric: Metric): Statistic {
  if (metric !== 'perplexity') return ([sum = 0], count) => sum / count
  return ([sum = 0, tokens = 0]) => perplexity(sum, tokens)
}

/** Differences are drawn in pairs: both mixes on the same items. */
async function differenceOf(
  metric: Metric,
  one: Rows,
  other: Rows,
  settings: { readonly confidence: number; readonly seed: number },
): Promise<Estimate> {
  const both = one.map((row, i) => [...row, ...other[i]!])
  if (metric !== 'perplexity') return bootstrap(both, ([a = 0, b = 0], count) => (a - b) / count, settings)
  return bootstrap(
    both,
    ([a = 0, tokensA = 0, b = 0, tokensB = 0]) => perplexity(a, tokensA) - perplexity(b, tokensB),
    settings,
  )
}

/** Where nothing was evaluated nothing was expected either: as bad as can be. */
function perplexity(sum: number, tokens: number): number {
  return tokens === 0 ? LARGEST_PERPLEXITY : Math.min(LARGEST_PERPLEXITY, Math.exp(-sum / tokens))
}

function factsOf(
  given: readonly (ItemAnswer | null)[],
): Pick<EvaluationResult['mixes'][number], 'failed' | 'tokens' | 'tokensPerSecond'> {
  let [failed, tokens, steps, seconds] = [0, 0, 0, 0]
  for (const answer of given) {
    if (!answer || answer.error !== null) failed++
    tokens += answer?.tokens ?? 0
    steps += Math.max(0, (answer?.tokens ?? 0) - 1)
    seconds += answer?.seconds ?? 0
  }
  return { failed, tokens, tokensPerSecond: seconds > 0 ? steps / seconds : null }
}

function fieldsOf(given: readonly (ItemAnswer | null)[], items: readonly Item[]): Record<string, number> {
  const counts = new Map<string, { right: number; all: number }>()
  for (const [i, { expected }] of items.entries()) {
    for (const [path, isRight] of Object.entries(jsonFields(given[i]?.text ?? '', expected).fields)) {
      const count = counts.get(path) ?? { right: 0, all: 0 }
      counts.set(path, { right: count.right + Number(isRight), all: count.all + 1 })
    }
  }
  return Object.fromEntries([...counts].slice(0, MOST_FIELDS).map(([path, { right, all }]) => [path, right / all]))
}

function pairs(count: number): [number, number][] {
  return Array.from({ length: count }, (_, a) =>
    Array.from({ length: count - a - 1 }, (_, i): [number, number] => [a, a + i + 1]),
  ).flat()
}
