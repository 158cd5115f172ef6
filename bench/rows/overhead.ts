import type { Target } from '../../src/bench/completion-stream.ts'
import { streamCompletion } from '../../src/bench/completion-stream.ts'
import { Client } from '../../test/support/client.ts'
import { scrape } from '../../test/support/scrape.ts'
import { BASE, DECODED, ROWS } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, promise } from '../groups.ts'
import { median } from '../measure/alternate.ts'
import { completionBody } from '../measure/batch.ts'
import { freshPrompt } from '../measure/prompts.ts'

/** Tokens before the end at which the window closes: all rows still run. */
const MARGIN = 8

interface Window {
  readonly wall: number
  readonly run: number
  readonly busy: number
  readonly steps: number
}

/** The part of a step that is outside the native call: scheduling, sampling, text, HTTP. */
export const OVERHEAD: Group = {
  name: 'overhead',
  rows: ['overhead'],
  run: async (context, _rows, progress) => {
    const { promptTokens, newTokens, rounds, warmUps } = context.options
    const server = await context.server()
    const windows: Window[] = []
    for (let round = -warmUps; round < rounds; round++) {
      const window = await decodeWindow(server, promptTokens, DECODED * newTokens)
      if (round >= 0) windows.push(window)
      progress(round + warmUps + 1, rounds + warmUps, `${ROWS} rows decoding`)
    }
    const share = (part: (window: Window) => number): number => median(windows.map(part)) * 100
    const step = median(windows.map(({ wall, steps }) => (wall / steps) * 1000))
    return [
      promise(
        `step at batch ${ROWS}, outside the native call`,
        share(({ run, wall }) => 1 - run / wall),
        '%',
        { most: 5 },
      ),
      figure(
        `the same, on the engine's thread`,
        share(({ run, busy, wall }) => (busy - run) / wall),
        '%',
      ),
      figure(`step at batch ${ROWS}`, step, 'ms'),
    ]
  },
}

/** Figures of the engine over a time in which all rows decode and nothing else happens. */
async function decodeWindow(server: Target, promptTokens: number, newTokens: number): Promise<Window> {
  const client = new Client(server.url)
  let started = 0
  let marked = 0
  const marks = [deferred(), deferred()] as const
  const rows = Array.from({ length: ROWS }, () => {
    let tokens = 0
    const onToken = (): void => {
      tokens++
      if (tokens === 1 && ++started === ROWS) marks[0].resolve()
      if (tokens === newTokens - MARGIN && ++marked === 1) marks[1].resolve()
    }
    return streamCompletion(server, completionBody(BASE, freshPrompt(promptTokens), newTokens), { onToken })
  })
  const all = Promise.all(rows)
  const snapshot = async (mark: Promise<void>): Promise<Window> => {
    await Promise.race([mark, all])
    const metrics = await scrape(client)
    const read = (name: string): number => {
      const value = metrics.get(`troupe_engine_${name}_total`)
      if (value === undefined) throw new Error(`the server has no metric troupe_engine_${name}_total`)
      return value
    }
    const wall = performance.now() / 1000
    return { wall, run: read('step_seconds'), busy: read('busy_seconds'), steps: read('steps') }
  }
  const first = await snapshot(marks[0].promise)
  const last = await snapshot(marks[1].promise)
  await all
  const window = {
    wall: last.wall - first.wall,
    run: last.run - first.run,
    busy: last.busy - first.busy,
    steps: last.steps - first.steps,
  }
  if (!(window.steps > 0)) throw new Error('no decode step lay between the first and the last reading')
  return window
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}
