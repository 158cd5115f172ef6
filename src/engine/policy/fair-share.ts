import type { Candidate, Policy, ServedTokens } from './policy.ts'

/** What a token of an answer costs, measured in prompt tokens: it comes one at a time and needs the head of the model. */
const OUTPUT_PRICE = 2
/** What runs gives way only where that makes shares fairer by more than this: less than a token's price, so that a newcomer gets its row at once. */
const GRACE = 1
/** A prompt is weighed as so many tokens at most when the next step is shared out: more do not go into one. */
const CHUNK = 64

/** Everybody who asks without a key is one tenant. */
const NOBODY = ''

interface Account {
  /** What the tenant has had, in prompt tokens, divided by its weight. */
  served: number
  weight: number
  busy: boolean
}

/** Candidates of one tenant while an order is made. */
interface Line {
  readonly waiting: Candidate[]
  readonly weight: number
  /** What the tenant has had and would get by the order so far. */
  ahead: number
}

/**
 * Fair shares by tokens, with virtual token counters (Sheng et al., Fairness in Serving Large Language Models, 2024): whoever has had least for
 * its weight goes first. A tenant that was idle begins at the level of those that were not, so that nobody hoards credit.
 */
export class FairShare implements Policy {
  readonly #accounts = new Map<string, Account>()
  /** The least that busy tenants have had. */
  #level = 0

  charge(tenant: string | null, tokens: ServedTokens): void {
    const account = this.#accounts.get(tenant ?? NOBODY)
    if (account !== undefined) account.served += (tokens.prompt + OUTPUT_PRICE * tokens.output) / account.weight
  }

  /** What a tenant has had, for its weight; null when there is nothing to remember of it. */
  served(tenant: string | null): number | null {
    return this.#accounts.get(tenant ?? NOBODY)?.served ?? null
  }

  /**
   * Tenants by turns, the one that has had least first. Of one tenant, larger priorities go before smaller ones, earlier deadlines before later
   * ones, then who came first. What is in the background comes behind everything else.
   */
  order(candidates: readonly Candidate[]): readonly Candidate[] {
    this.#open(candidates)
    const foreground = candidates.filter(({ background }) => !background)
    const background = candidates.filter(({ background }) => background)
    return [...this.#share(foreground), ...this.#share(background)]
  }

  /**
   * A tenant that comes back begins no lower than those that were busy meanwhile, and no lower than where it left. Accounts of idle tenants that
   * say no more than that are forgotten.
   */
  #open(candidates: readonly Candidate[]): void {
    const weights = new Map(candidates.map(({ tenant, weight }) => [tenant ?? NOBODY, weight]))
    const stayed = [...this.#accounts].filter(([tenant, { busy }]) => busy && weights.has(tenant))
    if (stayed.length > 0) this.#level = Math.min(...stayed.map(([, { served }]) => served))
    for (const [tenant, account] of this.#accounts) {
      account.busy &&= weights.has(tenant)
      if (!account.busy && !weights.has(tenant) && account.served <= this.#level) this.#accounts.delete(tenant)
    }
    for (const [tenant, weight] of weights) {
      const account = this.#accounts.get(tenant) ?? { served: 0, weight, busy: false }
      if (!account.busy) account.served = Math.max(account.served, this.#level)
      this.#accounts.set(tenant, { served: account.served, weight, busy: true })
    }
  }

  #share(candidates: readonly Candidate[]): Candidate[] {
    const lines = new Map<string, Line>()
    for (const candidate of candidates) {
      const tenant = candidate.tenant ?? NOBODY
      const { served, weight } = this.#accounts.get(tenant)!
      const line = lines.get(tenant)
      if (line === undefined) lines.set(tenant, { waiting: [candidate], weight, ahead: served })
      else line.waiting.push(candidate)
    }
    // From the end, so that the next one can be popped.
    for (const { waiting } of lines.values()) waiting.sort(byUrgency).reverse()
    const order: Candidate[] = []
    while (lines.size > 0) {
      let next: [string, Line] | null = null
      for (const entry of lines) if (next === null || levelOf(entry[1]) < levelOf(next[1])) next = entry
      const [tenant, line] = next!
      const candidate = line.waiting.pop()!
      order.push(candidate)
      line.ahead += priceOf(candidate) / line.weight
      if (line.waiting.length === 0) lines.delete(tenant)
    }
    return order
  }
}

/** Where a tenant's next candidate stands among those of others: what runs has a start. */
function levelOf({ waiting, weight, ahead }: Line): number {
  return waiting.at(-1)!.running ? ahead - GRACE / weight : ahead
}

function priceOf({ pending }: Candidate): number {
  return pending === 1 ? OUTPUT_PRICE : Math.min(pending, CHUNK)
}

/** Equals keep their order of arrival. */
function byUrgency(a: Candidate, b: Candidate): number {
  if (a.priority !== b.priority) return b.priority - a.priority
  const [first, second] = [a.deadlineMs ?? Infinity, b.deadlineMs ?? Infinity]
  return first === second ? 0 : first - second
}
