import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from '../../test/support/client.ts'
import { startServerProcess } from '../../test/support/server-process.ts'
import type { ServerProcess } from '../../test/support/server-process.ts'
import { THREADS } from '../context.ts'
import type { BenchContext } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, promise } from '../groups.ts'

const REPOSITORY = join(import.meta.dirname, '../..')
const WARM_UPS = 20

/** Something that is asked of both servers, so many requests at a time. */
interface Trial {
  readonly name: string
  readonly path: string
  readonly bodies: readonly object[]
  readonly atOnce: number
  readonly least?: number
}

/** Two servers on the demo model, one with speculative decoding as it is by default, one without. */
interface Pair {
  readonly on: Client
  readonly off: Client
}

/** Tokens per second, prompts included. */
interface Rates {
  readonly on: number
  readonly off: number
}

interface Answer {
  readonly choices: readonly { readonly text: string }[]
  readonly usage: { readonly completion_tokens: number }
}

/** What speculative decoding by prompt lookup gains, and what it costs where it has nothing to gain. */
export const SPECULATION: Group = {
  name: 'speculation',
  rows: ['speculation'],
  run: async (context, _rows, progress) => {
    const trials = trialsOf(context.options.rounds)
    const total = trials.reduce((sum, { bodies }) => sum + bodies.length, 0)
    const servers = await Promise.all([startServer(context, 'on'), startServer(context, 'off', ['--speculation', '0'])])
    const pair = { on: new Client(servers[0].url), off: new Client(servers[1].url) }
    const rates: Rates[] = []
    let done = 0
    try {
      for (const trial of trials) {
        rates.push(await ratesOf(trial, pair, (count) => progress((done += count), total, trial.name)))
      }
    } finally {
      await Promise.all(servers.map((server) => server.kill()))
    }
    return trials.flatMap(({ name, least }, i) => {
      const { on, off } = rates[i]!
      const what = `${name}: with speculation / without`
      return [
        least === undefined ? figure(what, on / off, '×') : promise(what, on / off, '×', { least }),
        figure(`${name}, with speculation`, on, 'tokens/s'),
        figure(`${name}, without`, off, 'tokens/s'),
      ]
    })
  },
}

/** Every input is asked once: an answer is never known from an earlier round. */
function trialsOf(rounds: number): Trial[] {
  const tickets = heldOut('ticket-json').map((input) => ({ input, temperature: 0 }))
  const each = Math.min(100, 20 * rounds)
  const json = { path: '/v1/tasks/ticket-json/generate' }
  const some = (from: number, count: number): readonly object[] => tickets.slice(from, from + count)
  const texts = heldOut('review-sentiment').slice(0, each / 2)
  const free = texts.map((prompt) => ({ model: 'demo', prompt, max_tokens: 64, temperature: 0, ignore_eos: true }))
  return [
    { ...json, name: 'JSON task, first answers of a new server', bodies: some(0, WARM_UPS), atOnce: 1 },
    { ...json, name: 'JSON task of the demo', bodies: some(WARM_UPS, each), atOnce: 1, least: 2 },
    { ...json, name: 'JSON task, 4 requests at once', bodies: some(120, each / 2.5), atOnce: 4, least: 1.6 },
    { ...json, name: 'JSON task, 8 requests at once', bodies: some(160, each / 2.5), atOnce: 8, least: 1.3 },
    { ...json, name: 'JSON task, 16 requests at once', bodies: some(40, each / 1.25), atOnce: 16, least: 1.1 },
    { path: '/v1/completions', name: 'the demo’s base, free text', bodies: free, atOnce: 1 },
  ]
}

function heldOut(task: string): string[] {
  const text = readFileSync(join(REPOSITORY, 'examples/demo/heldout', `${task}.jsonl`), 'utf8')
  return text
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { input: string }).input)
}

/** A server on the demo model, with a copy of the demo's store. */
async function startServer(context: BenchContext, name: string, flags: string[] = []): Promise<ServerProcess> {
  const store = context.path('scratch', `speculation-${name}`)
  cpSync(join(REPOSITORY, 'adapters-store'), store, { recursive: true })
  const fixed = ['--precision', 'f32', '--threads', `${THREADS}`, '--cache-dir', context.path('prepared')]
  return startServerProcess(join(REPOSITORY, 'models/demo'), store, [...fixed, ...flags])
}

/**
 * The servers take turns with every request, or lot of requests, and at being first.
 *
 * @throws Error when an answer differs
 */
async function ratesOf({ path, bodies, atOnce }: Trial, pair: Pair, onDone: (count: number) => void): Promise<Rates> {
  const seconds = { on: 0, off: 0 }
  let tokens = 0
  for (let from = 0; from < bodies.length; from += atOnce) {
    const lot = bodies.slice(from, from + atOnce)
    const answers = { on: [] as Answer[], off: [] as Answer[] }
    const order = (from / atOnce) % 2 === 0 ? (['on', 'off'] as const) : (['off', 'on'] as const)
    for (const side of order) {
      const started = performance.now()
      answers[side] = await Promise.all(lot.map((body) => ask(pair[side], path, body)))
      seconds[side] += (performance.now() - started) / 1000
    }
    for (const [i, { choices, usage }] of answers.on.entries()) {
      tokens += usage.completion_tokens
      const other = answers.off[i]!
      if (choices[0]!.text === other.choices[0]!.text && usage.completion_tokens === other.usage.completion_tokens)
        continue
      const texts = [choices, other.choices].map(([choice]) => JSON.stringify(choice!.text))
      throw new Error(`speculation changed the answer to ${JSON.stringify(lot[i])}: ${texts[0]}, without ${texts[1]}`)
    }
    onDone(lot.length)
  }
  return { on: tokens / seconds.on, off: tokens / seconds.off }
}

async function ask(client: Client, path: string, body: object): Promise<Answer> {
  const answer = await client.post<Answer>(path, body)
  if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`)
  return answer.body
}
