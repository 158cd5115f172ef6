import type { Target } from '../../src/bench/completion-stream.ts'
import { streamCompletion } from '../../src/bench/completion-stream.ts'
import { freshPrompt } from './prompts.ts'

/** What one batch of requests gave. */
export interface BatchFigures {
  /** Tokens per second from the first request sent to the last token, prompts included. */
  readonly perSecond: number
  /** Tokens per second while every row was decoding; NaN where they never all did. */
  readonly decodePerSecond: number
  /** Of the first request, from sending it. */
  readonly firstTokenMs: number
}

/** Tokens of a prompt and of its answer. */
export interface BatchSizes {
  readonly promptTokens: number
  readonly newTokens: number
  /** Ids that prompts are made of, where they are not the synthetic model's. */
  readonly vocab?: number
}

/** Sends one request for each model name at once and waits for all of them. */
export async function runBatch(
  target: Target,
  models: readonly string[],
  { promptTokens, newTokens, vocab }: BatchSizes,
): Promise<BatchFigures> {
  const bodies = models.map((model) => completionBody(model, freshPrompt(promptTokens, vocab), newTokens))
  const rows = await Promise.all(bodies.map((body) => streamCompletion(target, body)))
  const counted = rows.find(({ completionTokens }) => completionTokens !== newTokens)
  if (counted) throw new Error(`asked for ${newTokens} tokens, the server counts ${counted.completionTokens}`)
  return batchFigures(rows, newTokens)
}

/** A greedy completion of exactly this many tokens. */
export function completionBody(model: string, prompt: readonly number[], newTokens: number): object {
  return { model, prompt, max_tokens: newTokens, temperature: 0, ignore_eos: true, return_token_ids: true }
}

/** One request as its client saw it, in milliseconds. */
export interface RowTimes {
  readonly startedAt: number
  /** Of each token. */
  readonly arrivals: readonly number[]
}

/** @throws Error when a row has another number of tokens */
export function batchFigures(rows: readonly RowTimes[], newTokens: number): BatchFigures {
  const short = rows.find(({ arrivals }) => arrivals.length !== newTokens)
  if (short) throw new Error(`asked for ${newTokens} tokens, ${short.arrivals.length} came`)
  const startedAt = Math.min(...rows.map((row) => row.startedAt))
  const firsts = rows.map(({ arrivals }) => arrivals[0]!)
  const lasts = rows.map(({ arrivals }) => arrivals.at(-1)!)
  // All rows decode between the last first token and the first last token.
  const [from, to] = [Math.max(...firsts), Math.min(...lasts)]
  const within = rows.flatMap(({ arrivals }) => arrivals.filter((at) => at > from && at <= to))
  return {
    perSecond: perSecond(rows.length * newTokens, Math.max(...lasts) - startedAt),
    decodePerSecond: perSecond(within.length, to - from),
    firstTokenMs: Math.min(...firsts) - startedAt,
  }
}

function perSecond(tokens: number, ms: number): number {
  return ms > 0 ? (tokens / ms) * 1000 : NaN
}
