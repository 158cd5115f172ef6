import type { PartsBuilder } from '../rules/builder.ts'
import type { Cursor } from './cursor.ts'

/** Brackets within brackets, and repetitions of one part. */
const MAX_NESTING = 200
const MAX_REPETITIONS = 2_000

/** The rules of a grammar as they are read: they may be named before they are written. */
export class WrittenRules {
  readonly build: PartsBuilder
  readonly #cursor: Cursor
  readonly #rules = new Map<string, { readonly number: number; readonly named: number; defined: boolean }>()
  #nesting = 0

  constructor(cursor: Cursor, build: PartsBuilder) {
    this.#cursor = cursor
    this.build = build
  }

  /** The part that a name stands for. */
  named(name: string, at: number): number {
    const known = this.#rules.get(name)
    if (known) return known.number
    const number = this.build.declare(name)
    this.#rules.set(name, { number, named: at, defined: false })
    return number
  }

  /** Throws `invalid_request` for a second rule of one name. */
  define(name: string, at: number, body: () => number): void {
    const number = this.named(name, at)
    const rule = this.#rules.get(name)!
    if (rule.defined) throw this.#cursor.wrong(`there is a rule \`${name}\` already: join them with \`|\``, at)
    rule.defined = true
    this.build.define(number, body())
  }

  /** What brackets hold. */
  nested(read: () => number): number {
    if (++this.#nesting > MAX_NESTING)
      throw this.#cursor.wrong(
        `brackets are nested more than ${MAX_NESTING} deep: give the inner ones rules of their own`,
      )
    const part = read()
    this.#nesting--
    return part
  }

  repeated(part: number, min: number, max: number): number {
    if (min > max) throw this.#cursor.wrong(`a part cannot be there at least ${min} and at most ${max} times`)
    if (min > MAX_REPETITIONS || (max > MAX_REPETITIONS && max < Infinity))
      throw this.#cursor.wrong(`a part is repeated more than ${MAX_REPETITIONS} times: use \`*\` or \`+\``)
    return this.build.repeat(part, min, max)
  }

  /** The part an answer begins with. Throws `invalid_request` for names without a rule. */
  finish(start: string, wayOut: string): number {
    const missing = [...this.#rules].find(([, { defined }]) => !defined)
    if (missing) throw this.#cursor.wrong(`there is no rule \`${missing[0]}\``, missing[1].named)
    const rule = this.#rules.get(start)
    if (!rule) throw this.#cursor.wrong(`there is no rule \`${start}\`, where an answer begins: ${wayOut}`, 0)
    return rule.number
  }
}
