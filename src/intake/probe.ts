import type { ProbeResult } from '../catalogue/version.ts'
import type { AdapterWeights, MixEntry, TokenRows } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { TokenLogprob } from '../core/generation.ts'
import { GREEDY } from '../core/generation.ts'
import type { AdapterHost } from '../engine/engine.ts'

const PROMPT_TOKENS = 24
/** One to begin with and one to predict. */
const LEAST_TOKENS = 2
const ALTERNATIVES = 8
/** Most tokens of an adapter's own in the prompt. */
const MOST_CHANGED = 8
/** Differences of log-probabilities below this are rounding, not an adapter. */
const LEAST_DIFFERENCE = 1e-6

/** What the probe asked and was answered, and what follows from it. */
export interface Probed {
  readonly result: ProbeResult
  readonly tokens: Int32Array
  /** One for every token but the first. */
  readonly base: readonly TokenLogprob[]
  readonly adapted: readonly TokenLogprob[]
}

/**
 * Proves that an adapter acts: evaluates a fixed pseudo-random prompt with the base model and with the adapter at scale 1.
 * The host must hold the weights.
 * @throws TroupeError `unsupported_adapter` if its virtual tokens fill the context, `adapter_has_no_effect` if the answers equal the base model's, `invalid_adapter` if they are not finite
 */
export async function probe(host: AdapterHost, weights: AdapterWeights): Promise<Probed> {
  const virtual = weights.virtualTokens?.count ?? 0
  const room = host.maxContext - virtual
  if (room < LEAST_TOKENS) {
    const message = `the adapter's ${virtual} virtual tokens leave no room for a prompt in a context of ${host.maxContext}: raise --max-context`
    throw new TroupeError('unsupported_adapter', message, { param: 'num_virtual_tokens' })
  }
  const { vocab } = host.info
  const tokens = withChangedTokens(probePrompt(vocab, Math.min(PROMPT_TOKENS, room)), weights.tokenRows, vocab)
  const base = await evaluate(host, tokens, [])
  const adapted = await evaluate(host, withNewToken(tokens, weights.tokenRows, vocab), [
    { digest: weights.digest, scale: 1 },
  ])
  if (!base.every(isFinitePosition)) {
    throw new TroupeError('internal', 'the probe found log-probabilities of the base model that are not finite')
  }
  if (!adapted.every(isFinitePosition)) {
    const message = 'with this adapter the log-probabilities of the probe are not finite: its weights are far too large'
    throw new TroupeError('invalid_adapter', message)
  }
  const result = compare(base, adapted)
  if (!(result.maxDifference >= LEAST_DIFFERENCE)) {
    const message =
      'with this adapter the model answers exactly like the base model: its weights add nothing ' +
      '(an untrained adapter, or one saved before training)'
    throw new TroupeError('adapter_has_no_effect', message)
  }
  return { result, tokens, base, adapted }
}

/**
 * Largest difference of log-probabilities, and the mean divergence KL(base ‖ adapted) in nats. Only some tokens of each position
 * are known, so both distributions are coarsened to those known on both sides and one rest: by the data processing inequality
 * (Cover and Thomas, Elements of Information Theory, 2.8) the result is a lower bound.
 */
export function compare(base: readonly TokenLogprob[], adapted: readonly TokenLogprob[]): ProbeResult {
  let maxDifference = 0
  let kl = 0
  for (const [index, position] of base.entries()) {
    const other = knownLogprobs(adapted[index] as TokenLogprob)
    let restBase = 1
    let restAdapted = 1
    for (const [token, logprob] of knownLogprobs(position)) {
      const adaptedLogprob = other.get(token)
      if (adaptedLogprob === undefined) continue
      maxDifference = Math.max(maxDifference, Math.abs(logprob - adaptedLogprob))
      kl += Math.exp(logprob) * (logprob - adaptedLogprob)
      restBase -= Math.exp(logprob)
      restAdapted -= Math.exp(adaptedLogprob)
    }
    // A rest of rounding size says nothing and would divide by nearly 0.
    if (restBase > 1e-6 && restAdapted > 1e-6) kl += restBase * Math.log(restBase / restAdapted)
  }
  return { maxDifference, kl: Math.max(0, kl / Math.max(1, base.length)) }
}

/** Always the same tokens for a vocabulary: a linear congruential generator (Numerical Recipes, 7.1) with a fixed seed. */
export function probePrompt(vocab: number, length: number): Int32Array {
  let state = 20_250_317
  return Int32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * vocab)
  })
}

/** Puts tokens with rows of the adapter's own into the prompt, where they are read as well as predicted. */
function withChangedTokens(prompt: Int32Array, rows: TokenRows | null, vocab: number): Int32Array {
  const changed = rows?.ids.filter((id) => id < vocab).subarray(0, MOST_CHANGED) ?? []
  const tokens = prompt.slice()
  for (const [i, id] of [...changed].entries()) if (2 * i + 1 < tokens.length) tokens[2 * i + 1] = id
  return tokens
}

/** Begins with a token that the base model has not: there it is only read, as an adapter without a head for it never answers with it. */
function withNewToken(prompt: Int32Array, rows: TokenRows | null, vocab: number): Int32Array {
  const id = rows?.embed ? rows.ids.find((one) => one >= vocab) : undefined
  return id === undefined ? prompt : prompt.with(0, id)
}

async function evaluate(host: AdapterHost, tokens: Int32Array, mix: readonly MixEntry[]): Promise<TokenLogprob[]> {
  const events = host.generate({
    tokens,
    mix,
    sampling: GREEDY,
    maxTokens: 0,
    stopTokens: [],
    logprobs: ALTERNATIVES,
    promptLogprobs: true,
  })
  let positions: TokenLogprob[] = []
  for await (const event of events) {
    if (event.type === 'prompt') positions = event.logprobs.filter((logprob) => logprob !== null)
    if (event.type === 'finish' && event.reason === 'error') {
      throw new TroupeError('internal', `the probe could not run: ${event.message ?? 'the engine gave no reason'}`)
    }
  }
  if (positions.length !== tokens.length - 1) {
    throw new TroupeError('internal', 'the probe could not run: the engine returned no log-probabilities')
  }
  return positions
}

/** The tokens of which a position's log-probability is known. */
export function knownLogprobs(position: TokenLogprob): Map<number, number> {
  return new Map([position, ...position.top].map(({ token, logprob }) => [token, logprob]))
}

function isFinitePosition(position: TokenLogprob): boolean {
  return Number.isFinite(position.logprob) && position.top.every(({ logprob }) => Number.isFinite(logprob))
}
