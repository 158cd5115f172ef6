import type { TokenLogprob } from '../core/generation.ts'
import type { RunEnd, RunEvent } from './run.ts'
import type { TextToken } from './sequence.ts'

/** One finished answer. */
export interface Choice {
  readonly index: number
  readonly text: string
  readonly tokens: readonly TextToken[]
  /** Null unless the plan asked for them. */
  readonly promptLogprobs: readonly (TokenLogprob | null)[] | null
  readonly reason: 'stop' | 'length'
}

/** Everything a finished request produced. */
export interface Outcome extends RunEnd {
  readonly choices: readonly Choice[]
}

/** Reads a run to its end. */
export async function collect(events: AsyncIterable<RunEvent>): Promise<Outcome> {
  const open = new Map<number, { text: string; tokens: TextToken[]; promptLogprobs: Choice['promptLogprobs'] }>()
  const choices: Choice[] = []
  let end: RunEnd | null = null
  for await (const event of events) {
    const choice = open.get(event.index) ?? { text: '', tokens: [], promptLogprobs: null }
    open.set(event.index, choice)
    if (event.type === 'prompt') choice.promptLogprobs = event.logprobs
    else if (event.type === 'text') {
      choice.text += event.text
      choice.tokens.push(...event.tokens)
    } else {
      choices.push({ index: event.index, ...choice, reason: event.reason })
      end ??= event.end
    }
  }
  if (!end) throw new Error('the run ended without its last event')
  return { choices: choices.sort((a, b) => a.index - b.index), ...end }
}
