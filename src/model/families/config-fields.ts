import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'

/** Reads fields of a JSON configuration by type; every refusal names the field, its value and what is expected. */
export class ConfigFields {
  readonly #json: JsonObject
  readonly #where: string

  /** @param where how the configuration is called in messages */
  constructor(json: JsonObject, where = 'config.json') {
    this.#json = json
    this.#where = where
  }

  has(field: string): boolean {
    return this.raw(field) !== undefined
  }

  /** Whether the field is there with a JSON null, where that differs from absence. */
  isNull(field: string): boolean {
    return Object.hasOwn(this.#json, field) && this.#json[field] === null
  }

  /** The field's value; a JSON null counts as absent. */
  raw(field: string): unknown {
    return Object.hasOwn(this.#json, field) ? (this.#json[field] ?? undefined) : undefined
  }

  /** Positive integer. */
  count(field: string, fallback?: number): number {
    const value = this.raw(field) ?? fallback
    if (!Number.isSafeInteger(value) || (value as number) < 1) throw this.refuse(field, 'a positive integer')
    return value as number
  }

  /** Positive number. */
  positive(field: string, fallback?: number): number {
    const value = this.raw(field) ?? fallback
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
      throw this.refuse(field, 'a positive number')
    return value
  }

  flag(field: string, fallback: boolean): boolean {
    const value = this.raw(field) ?? fallback
    if (typeof value !== 'boolean') throw this.refuse(field, 'true or false')
    return value
  }

  /** Refuses every value of the field but these (and absence). */
  only(field: string, allowed: readonly unknown[]): void {
    const value = this.raw(field)
    if (value !== undefined && !allowed.includes(value)) {
      throw this.refuse(
        field,
        allowed.length === 0 ? 'absent' : allowed.map((item) => JSON.stringify(item)).join(' or '),
      )
    }
  }

  refuse(field: string, expected: string): TroupeError {
    const value = this.raw(field)
    const found = value === undefined ? 'is missing' : `is ${JSON.stringify(value)}`
    return new TroupeError('invalid_model', `${this.#where}: "${field}" ${found}; supported: ${expected}`, {
      param: field,
    })
  }
}
