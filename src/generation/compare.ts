import { TroupeError } from '../core/errors.ts'
import type { Pass } from '../tenancy/admission.ts'
import { collect } from './collect.ts'
import { continuationLogprobs, likelihoodPlan } from './likelihood.ts'
import { merge } from './merge.ts'
import type { GenerationPlan } from './plan.ts'
import type { Usage } from './provenance.ts'
import type { RunEvent, RunParts } from './run.ts'
import { enter, runGeneration } from './run.ts'
import { AnswerRecorder, compareAnswers } from './shadow/answer-recorder.ts'
import type { RecordedAnswer } from './shadow/answer-recorder.ts'

/** How long a mix's answer took. */
export interface Timings {
  readonly queue_ms: number
  readonly load_ms: number
  /** From the request's arrival; null = there was no token. */
  readonly first_token_ms: number | null
  readonly total_ms: number
  /** Between the first token and the last; null with fewer than two. */
  readonly tokens_per_second: number | null
}

/** A finished answer of one mix. */
export interface MixAnswer {
  readonly index: number
  readonly text: string
  readonly token_ids: readonly number[]
  readonly finish_reason: 'stop' | 'length'
  readonly usage: Usage
  readonly timings: Timings
}

/** The first token at which the answers of two mixes differ; null = they are equal. */
export interface Difference {
  readonly a: number
  readonly b: number
  readonly token: number | null
}

export interface CompareSummary {
  /** One entry for each two mixes that answered. */
  readonly first_difference: readonly Difference[]
  /** `[answer][mix]`: log-likelihood, in nats, of a mix's answer under each mix; null where either failed. */
  readonly log_likelihoods: readonly (readonly (number | null)[])[] | null
}

/** What happens to the mixes of a comparison; `start` comes first, `summary` last. */
export type CompareEvent =
  | { readonly type: 'start' }
  | { readonly type: 'delta'; readonly index: number; readonly text: string; readonly token_ids: readonly number[] }
  | ({ readonly type: 'end' } & MixAnswer)
  | { readonly type: 'failed'; readonly index: number; readonly error: unknown }
  | ({ readonly type: 'summary' } & CompareSummary)

/**
 * Runs one input with several mixes in one batch: a plan each, of one sequence. What fails ends only its own mix. They enter the queue together, at once.
 *
 * @param likelihoods also compute how likely each answer is under each mix
 * @throws TroupeError `rate_limit_exceeded`, `overloaded`
 */
export function startComparison(
  deps: RunParts,
  plans: readonly GenerationPlan[],
  likelihoods: boolean,
  signal: AbortSignal,
): AsyncGenerator<CompareEvent, void, void> {
  return runComparison(deps, plans, likelihoods, signal, enterAll(deps, plans))
}

async function* runComparison(
  deps: RunParts,
  plans: readonly GenerationPlan[],
  likelihoods: boolean,
  signal: AbortSignal,
  pass: Pass,
): AsyncGenerator<CompareEvent, void, void> {
  const answers: (RecordedAnswer | null)[] = plans.map(() => null)
  try {
    yield { type: 'start' }
    const sources = plans.map(
      (plan, index) => (either: AbortSignal) => answerOf(deps, plan, index, passOf(pass, index), either),
    )
    for await (const event of merge(sources, signal)) {
      if (event.type === 'end') answers[event.index] = { text: event.text, tokens: event.token_ids }
      yield event
    }
  } finally {
    pass.leave()
  }
  const first_difference = differences(answers)
  if (!likelihoods) return yield { type: 'summary', first_difference, log_likelihoods: null }
  const columns = plans.map((): readonly (number | null)[] => plans.map(() => null))
  for await (const event of scoreAll(deps, plans, answers, signal)) {
    if (event.type === 'failed') yield event
    else columns[event.index] = event.scores
  }
  const log_likelihoods = plans.map((_, answer) => columns.map((column) => column[answer] ?? null))
  yield { type: 'summary', first_difference, log_likelihoods }
}

async function* answerOf(
  deps: RunParts,
  plan: GenerationPlan,
  index: number,
  pass: Pass,
  signal: AbortSignal,
): AsyncGenerator<CompareEvent, void, void> {
  const recorder = new AnswerRecorder()
  const clock = new TokenClock(plan.arrivedAt)
  try {
    for await (const event of runGeneration(deps, plan, pass, signal)) {
      if (event.type === 'text') {
        clock.count(event.tokens.length)
        recorder.add(event)
        yield { type: 'delta', index, text: event.text, token_ids: event.tokens.map(({ token }) => token) }
      } else if (event.type === 'finish') yield endOf(event, index, recorder.answer, clock)
    }
  } catch (error) {
    if (signal.aborted) throw error
    yield { type: 'failed', index, error }
  }
}

function endOf(
  { reason, end }: Extract<RunEvent, { type: 'finish' }>,
  index: number,
  { text, tokens }: RecordedAnswer,
  clock: TokenClock,
): CompareEvent {
  if (!end) throw new Error('a mix runs one sequence: its end is the end of the run')
  const { queue_ms, load_ms } = end.provenance
  const timings = { queue_ms, load_ms, ...clock.timings() }
  return { type: 'end', index, text, token_ids: tokens, finish_reason: reason, usage: end.usage, timings }
}

type Scored =
  | Extract<CompareEvent, { type: 'failed' }>
  | { readonly type: 'scored'; readonly index: number; readonly scores: readonly (number | null)[] }

/** Every mix evaluates every answer, one after another in its one place. */
async function* scoreAll(
  deps: RunParts,
  plans: readonly GenerationPlan[],
  answers: readonly (RecordedAnswer | null)[],
  signal: AbortSignal,
): AsyncGenerator<Scored, void, void> {
  const pass = enterAll(deps, plans)
  try {
    const sources = plans.map(
      (plan, index) =>
        async function* (either: AbortSignal): AsyncGenerator<Scored, void, void> {
          if (!answers[index]) return
          try {
            const scores: (number | null)[] = []
            for (const answer of answers)
              scores.push(await scoreOf(deps, plan, answer, passOf(pass, index, true), either))
            yield { type: 'scored', index, scores }
          } catch (error) {
            if (either.aborted) throw error
            yield { type: 'failed', index, error }
          } finally {
            pass.done(index)
          }
        },
    )
    yield* merge(sources, signal)
  } finally {
    pass.leave()
  }
}

async function scoreOf(
  deps: RunParts,
  plan: GenerationPlan,
  answer: RecordedAnswer | null,
  pass: Pass,
  signal: AbortSignal,
): Promise<number | null> {
  if (answer === null) return null
  const { choices } = await collect(runGeneration(deps, likelihoodPlan(plan, [answer.tokens]), pass, signal))
  const logprobs = continuationLogprobs(plan, choices[0]?.promptLogprobs ?? [])
  return logprobs.reduce((sum, logprob) => sum + logprob, 0)
}

function differences(answers: readonly (RecordedAnswer | null)[]): Difference[] {
  return answers.flatMap((one, a) =>
    answers.flatMap((other, b) => {
      if (b <= a || !one || !other) return []
      const { tokens, agreed } = compareAnswers(one, other)
      return [{ a, b, token: agreed === tokens ? null : agreed }]
    }),
  )
}

/** One sequence per plan, all let in together or not at all. */
function enterAll(deps: RunParts, plans: readonly GenerationPlan[]): Pass {
  const [first] = plans
  if (!first) throw new TroupeError('invalid_request', 'there is nothing to compare', { param: 'mixes' })
  return enter(deps, first.caller.tenant, plans.length)
}

/** One place of a pass as the pass of a run of its own. @param kept the place is given back by whoever gave it */
function passOf(pass: Pass, index: number, kept = false): Pass {
  const done = (): void => (kept ? undefined : pass.done(index))
  return {
    weight: pass.weight,
    signal: pass.signal,
    get queueMs() {
      return pass.queueMs
    },
    get waits() {
      return pass.waits
    },
    turn: (_, signal) => pass.turn(index, signal),
    done,
    leave: done,
  }
}

class TokenClock {
  readonly #since: number
  #first: number | null = null
  #last = 0
  #tokens = 0

  constructor(since: number) {
    this.#since = since
  }

  count(tokens: number): void {
    if (tokens === 0) return
    this.#last = performance.now()
    this.#first ??= this.#last
    this.#tokens += tokens
  }

  timings(): Omit<Timings, 'queue_ms' | 'load_ms'> {
    const seconds = this.#first === null ? 0 : (this.#last - this.#first) / 1000
    return {
      first_token_ms: this.#first === null ? null : rounded(this.#first - this.#since),
      total_ms: rounded(performance.now() - this.#since),
      tokens_per_second: seconds > 0 ? rounded((this.#tokens - 1) / seconds) : null,
    }
  }
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100
}
