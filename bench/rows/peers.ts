import type { BenchContext } from '../context.ts'
import { BASE, ROWS } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, promise, unmeasured } from '../groups.ts'
import { alternate, median } from '../measure/alternate.ts'
import type { BatchFigures } from '../measure/batch.ts'
import { batchFigures, runBatch } from '../measure/batch.ts'
import { freshPrompt } from '../measure/prompts.ts'
import type { Setup } from '../peers/messages.ts'
import type { Row } from '../../src/bench/report.ts'
import { messageOf } from '../../src/core/errors.ts'

const PREFILL_TOKENS = 512
const PROMPTS = 8

/** A load that both sides run, what is compared of it, and the ways in which the peer can run it: its best one counts. */
interface Contest {
  readonly title: string
  readonly rows: number
  readonly onAdapters?: boolean
  /** Tokens of a prompt and of its answer, where they are not the benchmark's. */
  readonly sizes?: { readonly promptTokens: number; readonly newTokens: number }
  readonly figure: (figures: BatchFigures) => number
  readonly setups: readonly Setup[]
  readonly least: number
}

const CONTESTS: Readonly<Record<string, Contest>> = {
  'peer-adapters': {
    title: `${ROWS} requests on ${ROWS} rank-16 adapters`,
    rows: ROWS,
    onAdapters: true,
    figure: ({ perSecond }) => perSecond,
    setups: ['contexts', 'turns'],
    least: 4,
  },
  'peer-base': {
    title: `${ROWS} requests on the base`,
    rows: ROWS,
    figure: ({ perSecond }) => perSecond,
    setups: ['sequences'],
    least: 3.5,
  },
  'peer-one': {
    title: 'decode of one request on the base',
    rows: 1,
    figure: ({ decodePerSecond }) => decodePerSecond,
    setups: ['sequences'],
    least: 1.4,
  },
  'peer-prefill': {
    title: `prefill of ${PREFILL_TOKENS} tokens`,
    rows: 1,
    sizes: { promptTokens: PREFILL_TOKENS, newTokens: 1 },
    figure: ({ firstTokenMs }) => (PREFILL_TOKENS / firstTokenMs) * 1000,
    setups: ['sequences'],
    least: 2.2,
  },
  'peer-prefills': {
    title: `prefill of ${PROMPTS} × ${PREFILL_TOKENS} tokens at once`,
    rows: PROMPTS,
    sizes: { promptTokens: PREFILL_TOKENS, newTokens: 1 },
    figure: ({ perSecond }) => PREFILL_TOKENS * perSecond,
    setups: ['sequences'],
    least: 2.2,
  },
}

/** Troupe over HTTP beside node-llama-cpp called in its own process. */
export const PEERS: Group = {
  name: 'peers',
  rows: Object.keys(CONTESTS),
  run: async (context, rows, progress) => {
    const contests = [...rows].map((name) => CONTESTS[name]!)
    const missing = await context.llama().then(
      () => null,
      (error: unknown) => messageOf(error).split('\n')[0]!,
    )
    const runs = new Map<string, () => Promise<number>>()
    for (const contest of contests) {
      runs.set(`${contest.title}, Troupe`, await troupeRun(context, contest))
      if (missing !== null) continue
      for (const setup of contest.setups) runs.set(peerTitle(contest, setup), await llamaRun(context, contest, setup))
    }
    const samples = await alternate(runs, context.options, progress)
    const speeds = new Map([...samples].map(([title, values]): [string, number] => [title, median(values)]))
    const ratioRows = contests.map((contest) => ratioRow(contest, speeds, missing))
    return [...ratioRows, ...[...speeds].map(([title, speed]) => figure(title, speed, 'tokens/s'))]
  },
}

function ratioRow(contest: Contest, speeds: ReadonlyMap<string, number>, missing: string | null): Row {
  const { title, setups, least } = contest
  const name = `${title}, Troupe / node-llama-cpp`
  if (missing !== null) return unmeasured(name, '×', `≥ ${least}`, `not measured: ${missing}`)
  const best = Math.max(...setups.map((setup) => speeds.get(peerTitle(contest, setup))!))
  return promise(name, speeds.get(`${title}, Troupe`)! / best, '×', { least })
}

function peerTitle({ title, setups }: Contest, setup: Setup): string {
  return `${title}, node-llama-cpp${setups.length > 1 ? ` (${setup})` : ''}`
}

async function troupeRun(context: BenchContext, contest: Contest): Promise<() => Promise<number>> {
  const { rows, onAdapters, sizes = context.options } = contest
  const server = await context.server()
  const names = onAdapters ? await context.adapters(server, 'rank-16', rows) : [BASE]
  const models = Array.from({ length: rows }, (_, row) => names[row % names.length]!)
  return async () => contest.figure(await runBatch(server, models, sizes))
}

async function llamaRun(context: BenchContext, contest: Contest, setup: Setup): Promise<() => Promise<number>> {
  const { rows, sizes = context.options } = contest
  const peer = await context.llama()
  return async () => {
    const prompts = Array.from({ length: rows }, () => freshPrompt(sizes.promptTokens))
    return contest.figure(batchFigures(await peer.run(setup, prompts, sizes.newTokens), sizes.newTokens))
  }
}
