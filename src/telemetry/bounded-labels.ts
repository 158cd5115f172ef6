/** Values a label may take before the rest is counted as `other`. */
export const MAX_LABEL_VALUES = 200

/** Keeps the number of time series finite: the first `max` keys keep their name, the rest becomes `other`. */
export class BoundedLabels {
  readonly #seen = new Set<string>()
  readonly #max: number

  constructor(max = MAX_LABEL_VALUES) {
    this.#max = max
  }

  /** Whether `key` may appear as itself. */
  admits(key: string): boolean {
    if (this.#seen.has(key)) return true
    if (this.#seen.size >= this.#max) return false
    this.#seen.add(key)
    return true
  }

  label(key: string): string {
    return this.admits(key) ? key : 'other'
  }
}
