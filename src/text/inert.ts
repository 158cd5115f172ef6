/** Outside texts made harmless, and the character that was put into them; null where nothing had to be. */
export interface Inert<T> {
  readonly value: T
  readonly mark: string | null
}

/** Non-characters: Unicode keeps them free for a program's own use, and no normalizer or template changes them. */
const FIRST_MARK = 0xfdd0
const MARKS = Array.from({ length: 32 }, (_, i) => String.fromCharCode(FIRST_MARK + i))

/**
 * Keeps special tokens that are written in outside texts from becoming tokens. A mark is put into each of them, so that the tokenizer does
 * not find it; the tokenizer takes the mark out again before the text becomes tokens (`TokenPipeline.encode`).
 *
 *     <|end|>  →  <·|end|>  →  template, search for special tokens  →  <|end|> as plain text
 */
export class InertTexts {
  /** A character at which a special token begins; null where the model has none that could be written. */
  readonly #special: RegExp | null

  constructor(specialTokens: Iterable<string>) {
    // A token of one character cannot be split.
    const contents = [...specialTokens].filter((content) => [...content].length > 1).map(escaped)
    this.#special = contents.length === 0 ? null : new RegExp(`(?=${contents.join('|')}).`, 'gsu')
  }

  /** Marks every text in a JSON value; keys of objects stay. */
  of<T>(value: T): Inert<T> {
    const special = this.#special
    if (special === null || !someText(value, (text) => text.search(special) >= 0)) return { value, mark: null }
    const free = MARKS.find((mark) => !someText(value, (text) => text.includes(mark)))
    const mark = free ?? MARKS[0]!
    const marked = (text: string): string =>
      (free === undefined ? text.replaceAll(mark, '\uFFFD') : text).replace(special, (first) => first + mark)
    return { value: mapTexts(value, marked) as T, mark }
  }
}

function someText(value: unknown, is: (text: string) => boolean): boolean {
  if (typeof value === 'string') return is(value)
  return typeof value === 'object' && value !== null && Object.values(value).some((item) => someText(item, is))
}

function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTexts(item, change)]))
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
