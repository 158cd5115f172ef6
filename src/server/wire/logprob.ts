/** JSON has no infinities: a token the model rules out is written with this log-probability. */
const LEAST_LOGPROB = -9999

/** A log-probability as JSON can carry it. */
export function finiteLogprob(logprob: number): number {
  return Math.max(logprob, LEAST_LOGPROB)
}
