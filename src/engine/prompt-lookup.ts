import { NgramTable, ngramKey } from './ngram-table.ts'

/** Longest run of last tokens that is looked up. */
const LONGEST = 4
/** Streaks from here on count alike. */
const STREAKS = 4
const MEMORY_ENTRIES = 2 ** 13
const MOST_ENTRIES = 2 ** 18
/** Weight of the newest outcome in a success rate: a sequence finds out soon, its successors inherit the long run. */
const SEQUENCE_PACE = 1 / 16
const MEMORY_PACE = 1 / 32

/** A guess at the next token. */
interface Guess {
  readonly token: number
  /** Which success rate is its. */
  readonly evidence: number
}

/** Tokens that may come next. */
export interface Draft {
  readonly tokens: readonly number[]
  /** By token, the chance that it and all before it come, by the success rates; falling. */
  readonly chances: readonly number[]
}

/** Less likely tokens are not worth a look. */
const LEAST_CHANCE = 0.02

/** What sequences of one tenant and one mix leave to the next: what followed what in the answers, and how good guesses were. Of fixed size. */
export class AnswerMemory {
  readonly followers = new NgramTable(MEMORY_ENTRIES)
  /** By source, length and streak; at first longer matches are trusted more. */
  readonly rates = Float32Array.from({ length: 2 * LONGEST * STREAKS }, (_, evidence) => {
    const n = 1 + (Math.floor(evidence / STREAKS) % LONGEST)
    return n / (n + 2)
  })
}

/**
 * Guesses how a sequence goes on, by prompt lookup (Saxena 2023): where its last tokens stood before, and what followed there. It looks into
 * the sequence itself, prompt and completion, and into earlier answers; of each the longest match counts.
 *
 * Every kind of guess (where from, how long the match, how often in a row it would have been right) has a success rate. Each token of the
 * completion corrects them, drafted or not: guesses that keep failing soon cost a few look-ups and nothing else.
 */
export class PromptLookup {
  readonly #memory: AnswerMemory
  readonly #rates: Float32Array
  readonly #own: NgramTable
  /** Prompt and completion, then a draft while it grows. */
  readonly #tokens: Int32Array
  #length = 0

  /** @param most tokens of prompt, completion and draft together */
  constructor(prompt: Int32Array, most: number, memory: AnswerMemory) {
    this.#memory = memory
    this.#rates = memory.rates.slice()
    this.#tokens = new Int32Array(most)
    this.#own = new NgramTable(Math.min(MOST_ENTRIES, 2 * LONGEST * most))
    for (const token of prompt) this.#add(token, [this.#own])
  }

  /** Tokens of prompt and completion so far. */
  get length(): number {
    return this.#length
  }

  /** Tells the next token of the completion. */
  append(token: number): void {
    for (const guess of this.#guesses(this.#length)) {
      const outcome = guess.token === token ? 1 : 0
      adjust(this.#rates, guess.evidence, outcome, SEQUENCE_PACE)
      adjust(this.#memory.rates, guess.evidence, outcome, MEMORY_PACE)
    }
    this.#add(token, [this.#own, this.#memory.followers])
  }

  /** What is likely to follow, as far as that is not too uncertain. */
  draft(most: number): Draft {
    const tokens: number[] = []
    const chances: number[] = []
    for (let chance = 1; tokens.length < most;) {
      const guess = this.#best(this.#length + tokens.length)
      if (guess === null) break
      chance *= this.#rates[guess.evidence]!
      if (chance < LEAST_CHANCE) break
      this.#tokens[this.#length + tokens.length] = guess.token
      tokens.push(guess.token)
      chances.push(chance)
    }
    return { tokens, chances }
  }

  #best(end: number): Guess | null {
    const [first, second] = this.#guesses(end)
    if (first === undefined || second === undefined) return first ?? null
    return this.#rates[first.evidence]! >= this.#rates[second.evidence]! ? first : second
  }

  /** One guess of each source that knows the tokens before `end`. */
  #guesses(end: number): Guess[] {
    const guesses: Guess[] = []
    for (const [source, table] of [this.#own, this.#memory.followers].entries())
      for (let n = Math.min(LONGEST, end); n > 0; n--) {
        const follower = table.find(ngramKey(this.#tokens, end, n))
        if (follower === null) continue
        const streak = Math.min(STREAKS - 1, follower.streak)
        guesses.push({ token: follower.token, evidence: (source * LONGEST + n - 1) * STREAKS + streak })
        break
      }
    return guesses
  }

  #add(token: number, tables: readonly NgramTable[]): void {
    for (let n = Math.min(LONGEST, this.#length); n > 0; n--) {
      const key = ngramKey(this.#tokens, this.#length, n)
      for (const table of tables) table.note(key, token)
    }
    this.#tokens[this.#length++] = token
  }
}

function adjust(rates: Float32Array, evidence: number, outcome: 0 | 1, pace: number): void {
  rates[evidence]! += (outcome - rates[evidence]!) * pace
}
