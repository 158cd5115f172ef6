import type { AdapterWeights } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { TokenLogprob } from '../core/generation.ts'
import type { Precision } from '../core/model-info.ts'
import { notMergeable } from '../reference/block-merge.ts'
import type { MergedReference } from '../reference/merged-reference.ts'
import type { Probed } from './probe.ts'
import { knownLogprobs } from './probe.ts'
import type { MergedResult } from './proof.ts'

/** Log-probabilities of a model with merged weights, `[tokens − 1, vocab]`. */
export type ReferencePort = Pick<MergedReference, 'base' | 'adapted' | 'close'>

/**
 * How far the effect may be from the reference's: by so many times what the base model's own answers are away from it, plus a share of the
 * effect, since rounding grows with the effect. The engine rounds activations of quantised models to 8 bits, the reference does not.
 * How they were chosen: docs/adapters.md.
 */
const NOISE_FACTOR = 2
const EFFECT_SHARE: Readonly<Record<Precision, number>> = { f32: 2e-4, int8: 0.15, int4: 0.15 }
/** Rounding of f32 log-probabilities, in nats: less is luck. */
const LEAST_NOISE = 1e-5
/** So that shares of no effect at all are numbers. */
const LEAST_EFFECT = 1e-9

/** Compares what the engine answers with an adapter with the same model whose weights have the adapter merged into them. */
export class MergedCheck {
  readonly counts = { compared: 0, seconds: 0 }
  readonly #reference: ReferencePort | { readonly off: string }

  /** @param reference or the reason why nothing is compared */
  constructor(reference: ReferencePort | { readonly off: string }) {
    this.#reference = reference
  }

  /**
   * @throws TroupeError `probe_mismatch` when the engine's answers are not those of merged weights, `internal` when these could not be computed
   */
  async check(
    weights: AdapterWeights,
    { tokens, base, adapted }: Probed,
    { precision, vocab }: { readonly precision: Precision; readonly vocab: number },
  ): Promise<MergedResult> {
    const port = this.#reference
    if ('off' in port) return notCompared(port.off)
    const reason = notMergeable(weights)
    if (reason !== null) return notCompared(reason)
    const started = performance.now()
    const reference = { vocab, base: await port.base(tokens), adapted: await port.adapted(tokens, weights) }
    this.counts.compared++
    this.counts.seconds += (performance.now() - started) / 1000
    const { deviation, tolerance } = deviationOf({ base, adapted }, reference, precision)
    if (deviation <= tolerance) return { deviation, tolerance, reason: null }
    throw mismatch(deviation, tolerance)
  }

  async close(): Promise<void> {
    if (!('off' in this.#reference)) await this.#reference.close()
  }
}

interface Answers {
  readonly base: readonly TokenLogprob[]
  readonly adapted: readonly TokenLogprob[]
}

interface ReferenceAnswers {
  readonly vocab: number
  readonly base: Float32Array
  readonly adapted: Float32Array
}

/**
 * Mean absolute differences over all tokens that both of the engine's answers name, position by position, as shares of the reference's mean
 * effect. Means, not squares: a few positions at which a distorted model sits on an edge say little.
 */
export function deviationOf(
  engine: Answers,
  reference: ReferenceAnswers,
  precision: Precision,
): { readonly deviation: number; readonly tolerance: number } {
  let [error, effect, noise, count] = [0, 0, 0, 0]
  for (const [index, position] of engine.base.entries()) {
    const adapted = knownLogprobs(engine.adapted[index]!)
    for (const [token, logprob] of knownLogprobs(position)) {
      const adaptedLogprob = adapted.get(token)
      if (adaptedLogprob === undefined) continue
      const at = index * reference.vocab + token
      const expected = reference.adapted[at]! - reference.base[at]!
      error += Math.abs(adaptedLogprob - logprob - expected)
      effect += Math.abs(expected)
      noise += Math.abs(logprob - reference.base[at]!)
      count++
    }
  }
  const share = Math.max(effect / count, LEAST_EFFECT)
  const allowed = NOISE_FACTOR * Math.max(noise / count, LEAST_NOISE)
  return { deviation: error / count / share, tolerance: allowed / share + EFFECT_SHARE[precision] }
}

function notCompared(reason: string): MergedResult {
  return { deviation: null, tolerance: null, reason }
}

function mismatch(deviation: number, tolerance: number): TroupeError {
  const percent = (value: number): string => `${Number((100 * value).toPrecision(2))} %`
  const message =
    'with this adapter the engine does not answer as the base model with the adapter merged into its weights: the difference is ' +
    `${percent(deviation)} of the adapter's effect, rounding explains ${percent(tolerance)}. Please report it; ` +
    'with --merged-probe off the version is taken without the comparison'
  return new TroupeError('probe_mismatch', message)
}
