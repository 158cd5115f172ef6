import type { Target } from '../../src/bench/completion-stream.ts'
import { streamCompletion } from '../../src/bench/completion-stream.ts'
import { percentile } from '../../src/bench/percentile.ts'
import { BASE } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, promise } from '../groups.ts'
import { median } from '../measure/alternate.ts'
import { completionBody } from '../measure/batch.ts'
import { freshPrompt } from '../measure/prompts.ts'

const STREAMS = 8
const LONG_PROMPT = 2000
const TOKENS = 400

/** What a long prompt does to those who are being answered. */
export const GAP: Group = {
  name: 'gap',
  rows: ['gap'],
  run: async (context, _rows, progress) => {
    const { rounds, warmUps } = context.options
    const server = await context.server()
    const ratios: number[] = []
    const [calm, beside, first]: number[][] = [[], [], []]
    for (let round = -warmUps; round < rounds; round++) {
      const gaps = await gapsBeside(server)
      if (round >= 0) {
        calm!.push(percentile(gaps.calm, 0.99))
        beside!.push(percentile(gaps.beside, 0.99))
        ratios.push(beside!.at(-1)! / calm!.at(-1)!)
        first!.push(gaps.firstTokenMs)
      }
      progress(round + warmUps + 1, rounds + warmUps, `${STREAMS} streams beside a prompt of ${LONG_PROMPT}`)
    }
    return [
      promise(
        `gap between tokens of ${STREAMS} streams, p99, while a prompt of ${LONG_PROMPT} tokens arrives / undisturbed`,
        median(ratios),
        '×',
        { most: 2 },
      ),
      figure('gap between tokens, p99, undisturbed', median(calm!), 'ms'),
      figure(`gap between tokens, p99, beside a prompt of ${LONG_PROMPT}`, median(beside!), 'ms'),
      figure(`first token of that prompt`, median(first!), 'ms'),
    ]
  },
}

interface Gaps {
  readonly calm: readonly number[]
  readonly beside: readonly number[]
  readonly firstTokenMs: number
}

/** The streams run undisturbed until each has had a quarter of its tokens; then the prompt comes. */
async function gapsBeside(server: Target): Promise<Gaps> {
  let arrived: () => void = () => undefined
  const quarter = new Promise<void>((resolve) => (arrived = resolve))
  let ready = 0
  const streams = Array.from({ length: STREAMS }, () => {
    let tokens = 0
    const onToken = (): void => {
      if (++tokens === TOKENS / 4 && ++ready === STREAMS) arrived()
    }
    return streamCompletion(server, completionBody(BASE, freshPrompt(16), TOKENS), { onToken })
  })
  const all = Promise.all(streams)
  await Promise.race([quarter, all])
  const from = performance.now()
  const { startedAt, arrivals } = await streamCompletion(server, completionBody(BASE, freshPrompt(LONG_PROMPT), 1))
  const to = performance.now()
  const rows = await all
  const started = Math.max(...rows.map((row) => row.arrivals[0]!))
  const within = (least: number, most: number): number[] =>
    rows.flatMap((row) =>
      row.arrivals.slice(1).flatMap((at, i) => (at > least && at <= most ? [at - row.arrivals[i]!] : [])),
    )
  const beside = within(from, to)
  if (beside.length < STREAMS) throw new Error('the streams ended before the prompt was evaluated')
  return { calm: within(started, from), beside, firstTokenMs: arrivals[0]! - startedAt }
}
