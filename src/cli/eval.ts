import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { TroupeError, messageOf } from '../core/errors.ts'
import { parseLines } from '../evaluation/set.ts'
import type { EvaluationBodyOut } from '../server/apis/evaluations/schema.ts'
import { ApiClient } from './api-client.ts'
import type { ServerFlags } from './api-client.ts'
import { mixesOf } from './mixes.ts'
import { ProgressLine } from './progress-line.ts'
import { renderTable } from './table.ts'

/** The flags of `troupe eval` as commander gives them. */
export interface EvalFlags extends ServerFlags {
  readonly mixes: string
  readonly task?: string
  readonly metrics: string
  readonly pattern?: string
  readonly maxTokens?: string
  readonly confidence?: string
  readonly name?: string
  readonly json?: boolean
}

const POLL_MS = 500

/** Scores mixes on a file of items through a running server, and prints the scores. An evaluation that was interrupted goes on at the server. */
export async function evaluate(file: string, flags: EvalFlags): Promise<void> {
  const client = new ApiClient(flags)
  const { task, name, pattern, maxTokens, confidence } = flags
  const made = await client.send<EvaluationBodyOut>('POST', '/v1/evaluations', {
    ...{ task, name, pattern },
    mixes: mixesOf(flags.mixes),
    items: parseLines(await readSet(file)),
    metrics: flags.metrics.split(','),
    ...(maxTokens !== undefined && { max_tokens: Number(maxTokens) }),
    ...(confidence !== undefined && { confidence: Number(confidence) }),
  })
  const ended = await waitFor(client, made)
  if (flags.json) console.log(JSON.stringify(ended, null, 2))
  else console.log(renderEvaluation(ended))
  if (ended.status !== 'done') process.exitCode = 1
}

async function readSet(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new TroupeError('invalid_request', `${file} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

async function waitFor(client: ApiClient, made: EvaluationBodyOut): Promise<EvaluationBodyOut> {
  const progress = new ProgressLine('answers', process.stderr, () => performance.now(), String)
  try {
    for (let now = made; ; now = await client.send<EvaluationBodyOut>('GET', `/v1/evaluations/${made.id}`)) {
      progress.update(now.progress.done ?? 0, now.progress.total, now.status)
      if (now.ended_at !== null) return now
      await sleep(POLL_MS)
    }
  } finally {
    progress.finish()
  }
}

/** Mixes in rows, metrics in columns, then how each two compare. */
function renderEvaluation({
  id,
  status,
  reason,
  set,
  metrics,
  mixes,
  comparisons,
  confidence,
}: EvaluationBodyOut): string {
  const head = `${id}: ${status}${reason === null ? '' : `, ${reason}`}, ${set.items} items, set ${set.digest}`
  if (status !== 'done') return head
  const scores = mixes.map((mix) => [
    mix.label,
    ...metrics.map((metric) => estimate(mix.metrics[metric])),
    String(mix.trained_parameters),
    String(mix.bytes),
    mix.tokens_per_second === null ? '-' : mix.tokens_per_second.toFixed(1),
    String(mix.failed),
  ])
  const columns = ['mix', ...metrics, 'parameters', 'bytes', 'tokens/s', 'failed']
  const pairs = comparisons.map(({ a, b, metric, difference, mcnemar }) => [
    `${mixes[a]!.label} − ${mixes[b]!.label}`,
    metric,
    estimate(difference),
    mcnemar === null ? '-' : mcnemar.p_value.toPrecision(2),
  ])
  const tables = [renderTable(columns, scores)]
  if (pairs.length > 0) tables.push(renderTable(['difference', 'metric', `at ${confidence}`, 'McNemar p'], pairs))
  return [head, ...tables].join('\n\n')
}

function estimate(score: { readonly value: number; readonly low: number; readonly high: number } | undefined): string {
  if (!score) return '-'
  const [value, low, high] = [score.value, score.low, score.high].map((one) => Number(one.toPrecision(3)))
  return `${value} (${low} to ${high})`
}
