import type { Target } from '../../src/bench/completion-stream.ts'
import { streamCompletion } from '../../src/bench/completion-stream.ts'
import { BASE } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, promise } from '../groups.ts'
import { median } from '../measure/alternate.ts'
import { completionBody } from '../measure/batch.ts'
import { freshPrompt } from '../measure/prompts.ts'

const SHARED = 512
const OWN = 8

/** What a second request gains from a beginning that it shares with the first. */
export const PREFIX: Group = {
  name: 'prefix',
  rows: ['prefix'],
  run: async (context, _rows, progress) => {
    const { rounds, warmUps } = context.options
    const server = await context.server()
    const first: number[] = []
    const second: number[] = []
    for (let round = -warmUps; round < rounds; round++) {
      const shared = freshPrompt(SHARED)
      for (const times of [first, second]) {
        const ms = await firstTokenMs(server, [...shared, ...freshPrompt(OWN)])
        if (round >= 0) times.push(ms)
      }
      progress(round + warmUps + 1, rounds + warmUps, `two prompts that share ${SHARED} tokens`)
    }
    const name = `first token of a prompt: new / with ${SHARED} tokens shared with the one before`
    return [
      promise(name, median(first) / median(second), '×', { least: 5 }),
      figure('first token, new prompt', median(first), 'ms'),
      figure('first token, shared prefix', median(second), 'ms'),
    ]
  },
}

async function firstTokenMs(server: Target, prompt: readonly number[]): Promise<number> {
  const { startedAt, arrivals } = await streamCompletion(server, completionBody(BASE, prompt, 1))
  return arrivals[0]! - startedAt
}
