import type { TextToken } from '../sequence.ts'

/** What a sequence produced. */
export interface RecordedAnswer {
  readonly text: string
  readonly tokens: readonly number[]
}

/** Keeps the answer of one sequence while it goes by. */
export class AnswerRecorder {
  #text = ''
  readonly #tokens: number[] = []

  add({ text, tokens }: { readonly text: string; readonly tokens: readonly TextToken[] }): void {
    this.#text += text
    for (const { token } of tokens) this.#tokens.push(token)
  }

  get answer(): RecordedAnswer {
    return { text: this.#text, tokens: this.#tokens }
  }
}

/** How far two answers agree. */
export interface Comparison {
  readonly equal: boolean
  /** Tokens of the longer answer. */
  readonly tokens: number
  /** Tokens before the first that differs: after it the two say different things for different reasons. */
  readonly agreed: number
}

export function compareAnswers(one: RecordedAnswer, other: RecordedAnswer): Comparison {
  const tokens = Math.max(one.tokens.length, other.tokens.length)
  let agreed = 0
  while (agreed < tokens && one.tokens[agreed] === other.tokens[agreed]) agreed++
  return { equal: one.text === other.text, tokens, agreed }
}
