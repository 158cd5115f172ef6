/** What a policy sees of a sequence. */
export interface Candidate {
  readonly id: number
  /** Null = nobody's: the server asks for itself. */
  readonly tenant: string | null
  /** Its tenant's share among those of others; 1 where none was given. */
  readonly weight: number
  /** To run only when nothing else waits. */
  readonly background: boolean
  /** Larger comes first; 0 where none was given. */
  readonly priority: number
  /** Milliseconds until it should be done, below 0 when that is over; null = whenever. */
  readonly deadlineMs: number | null
  readonly waitedMs: number
  readonly running: boolean
  /** Tokens that were evaluated for it. */
  readonly evaluated: number
  /** Tokens that could be evaluated for it now. */
  readonly pending: number
}

/** Tokens that a step evaluated of a sequence. */
export interface ServedTokens {
  readonly prompt: number
  readonly output: number
}

/** Who goes first: decides who gets rows, pages and prompt tokens, and, from the end, who has to give them back. */
export interface Policy {
  /**
   * @param candidates in order of arrival
   * @returns the same ones, first come first
   */
  order(candidates: readonly Candidate[]): readonly Candidate[]
  /** Counts what a step did for a tenant. */
  charge(tenant: string | null, tokens: ServedTokens): void
}
