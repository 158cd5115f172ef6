import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Row } from '../../src/bench/report.ts'
import { report } from '../../src/bench/report.ts'
import { startServer } from '../../src/app/start.ts'
import { ProgressLine } from '../../src/cli/progress-line.ts'

/**
 * Exact match of every demo adapter and of the bare base on the held-out files, through the HTTP API in mixed batches, beside what the
 * Python libraries scored on the same files (reference.json).
 *
 *     npm run demo:eval -- [--url http://127.0.0.1:8080] [--limit N] [--json FILE]
 */

interface Task {
  readonly task: string
  readonly kind: string
  readonly prompt: string
  readonly max_tokens: number
  readonly stop: readonly string[]
  readonly adapters: readonly { readonly name: string; readonly method: 'lora' | 'bottleneck' }[]
}

interface Item {
  readonly input: string
  readonly expected: string
}

interface Reference {
  readonly adapter: string
  readonly task: string
  readonly exact_match: number
}

/** One adapter, or the base, on one task. */
interface Contest {
  readonly task: Task
  readonly adapter: string
  readonly method: 'lora' | 'bottleneck' | 'base'
  readonly items: readonly Item[]
  right: number
}

const CONCURRENCY = 16
const LEAST = { lora: 95, bottleneck: 93 }
const BASE_MOST = 5
const BASE_PROMISED = ['extraction', 'sql', 'summary', 'reply']
const LARGEST_GAP = 0.5

const { values: options } = parseArgs({
  options: { url: { type: 'string' }, limit: { type: 'string' }, json: { type: 'string' } },
})

const here = import.meta.dirname
const tasks = readJson<Task[]>('tasks.json')
const references = readJson<Reference[]>('reference.json')
const contests = tasks.flatMap(contestsOf)

const server = options.url === undefined ? await startServer({ port: 0, logLevel: 'warn' }) : null
try {
  await run(server?.url ?? options.url!)
} finally {
  await server?.close()
}
report('npm run demo:eval', contests.flatMap(rowsOf), options.json)

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(join(here, file), 'utf8')) as T
}

function contestsOf(task: Task): Contest[] {
  const lines = readFileSync(join(here, 'heldout', `${task.task}.jsonl`), 'utf8')
    .trim()
    .split('\n')
  const items = lines.slice(0, Number(options.limit ?? lines.length)).map((line) => JSON.parse(line) as Item)
  const entrants = [...task.adapters, { name: 'base', method: 'base' as const }]
  return entrants.map(({ name, method }) => ({ task, adapter: name, method, items, right: 0 }))
}

/** Asks everything, interleaved: neighbours in a batch belong to different adapters and tasks. */
async function run(url: string): Promise<void> {
  const longest = Math.max(...contests.map(({ items }) => items.length))
  const queue = Array.from({ length: longest }, (_, i) =>
    contests.flatMap((contest) => (contest.items[i] ? [{ contest, item: contest.items[i] }] : [])),
  ).flat()
  const total = queue.length
  const started = performance.now()
  let done = 0
  const progress = new ProgressLine('requests', process.stderr, () => performance.now(), String)
  progress.update(0, total, 'starting')
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      if ((await answer(url, next.contest, next.item)) === next.item.expected) next.contest.right++
      progress.update(++done, total, next.contest.task.task)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker)).finally(() => progress.finish())
  console.error(`${total} requests in ${((performance.now() - started) / 1000).toFixed(0)} s`)
}

async function answer(url: string, { task, adapter, method }: Contest, item: Item): Promise<string> {
  const adapters = method === 'base' ? [] : [{ name: adapter }]
  const body = { input: item.input, adapters, max_tokens: task.max_tokens, temperature: 0 }
  const response = await fetch(`${url}/v1/tasks/${task.task}/generate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${task.task} on ${adapter}: ${response.status} ${await response.text()}`)
  const { choices } = (await response.json()) as { choices: [{ text: string }] }
  return choices[0].text.trim()
}

function rowsOf({ task, adapter, method, items, right }: Contest): Row[] {
  const value = (100 * right) / items.length
  const name = `${task.task}: ${adapter} (${method})`
  const promised = method !== 'base' || BASE_PROMISED.includes(task.kind)
  const met = method === 'base' ? value <= BASE_MOST : value >= LEAST[method]
  const target = method === 'base' ? `≤ ${BASE_MOST}` : `≥ ${LEAST[method]}`
  const own: Row = { name, value, unit: '% exact', target: promised ? target : null, met: promised ? met : null }
  const reference = references.find((entry) => entry.adapter === adapter && entry.task === task.task)
  if (reference === undefined) return [own]
  const gap = Math.abs(value - reference.exact_match)
  const beside = `${name}, distance to the Python library's ${reference.exact_match.toFixed(2)}`
  return [own, { name: beside, value: gap, unit: 'points', target: `≤ ${LARGEST_GAP}`, met: gap <= LARGEST_GAP }]
}
