import type { Budget } from '../limits.ts'
import { invalid } from '../limits.ts'
import type { Language } from '../regex/languages.ts'
import { patternLanguages } from '../regex/languages.ts'
import { PatternError } from '../regex/pattern.ts'
import { FORMATS } from './formats.ts'

/** The automata of formats are the same for every schema. */
const FORMAT_LANGUAGES = new Map<string, readonly Language[]>()
const IS_FORMAT: ReadonlySet<string> = new Set(Object.values(FORMATS))

/** The automata of a schema's patterns, each built once. */
export class PatternCache {
  readonly #budget: Budget
  readonly #languages = new Map<string, readonly Language[]>()

  constructor(budget: Budget) {
    this.#budget = budget
  }

  /** @throws TroupeError `invalid_request` for a pattern that cannot be enforced, `schema_too_complex` */
  languagesOf(pattern: string, at: string): readonly Language[] {
    const known = this.#languages.get(pattern) ?? FORMAT_LANGUAGES.get(pattern)
    if (known) return known
    try {
      const languages = patternLanguages(pattern, this.#budget, at)
      const keep = IS_FORMAT.has(pattern) ? FORMAT_LANGUAGES : this.#languages
      keep.set(pattern, languages)
      return languages
    } catch (error) {
      if (error instanceof PatternError)
        throw invalid(at, `the pattern \`${pattern}\` cannot be enforced: ${error.message}`)
      throw error
    }
  }
}
