import type { Automaton, State } from './automaton.ts'
import type { TokenMasks } from './token-masks.ts'

/** Holds one answer to a grammar, token by token. */
export class TokenMatcher {
  readonly #masks: TokenMasks
  readonly #states: State[]

  private constructor(masks: TokenMasks, states: State[]) {
    this.#masks = masks
    this.#states = states
  }

  /** @param begun text that stands already, such as the beginning of a tool call at the end of the prompt; null where it does not fit */
  static start(automaton: Automaton, masks: TokenMasks, begun: Uint8Array = new Uint8Array(0)): TokenMatcher | null {
    let state: State | null = automaton.start()
    for (const byte of begun) state = state?.step(byte) ?? null
    return state && new TokenMatcher(masks, [state])
  }

  get #state(): State {
    return this.#states.at(-1)!
  }

  /** Which tokens of text may come next, a bit for each; an ending token may where `canEnd`. Shared: not to be changed. */
  mask(): Uint32Array {
    return this.#masks.of(this.#state)
  }

  /** Whether the answer may end here. */
  get canEnd(): boolean {
    return this.#state.canEnd
  }

  /** Takes a token. False, and nothing changed, where it may not come. */
  accept(token: number): boolean {
    const next = this.#masks.after(this.#state, token)
    if (next) this.#states.push(next)
    return next !== null
  }

  /** Takes back the last tokens. */
  rollback(tokens: number): void {
    this.#states.length = Math.max(1, this.#states.length - tokens)
  }

  /** The only token that may come next; null where there are several, or the answer may end. */
  forced(): number | null {
    if (this.canEnd) return null
    let only: number | null = null
    for (const [word, bits] of this.mask().entries()) {
      if (bits === 0) continue
      if (only !== null || (bits & (bits - 1)) !== 0) return null
      only = word * 32 + 31 - Math.clz32(bits)
    }
    return only
  }

  /** Another matcher at the same place. */
  fork(): TokenMatcher {
    return new TokenMatcher(this.#masks, [this.#state])
  }
}
