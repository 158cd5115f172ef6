import { TroupeError } from '../core/errors.ts'

/** What compiling one grammar may take. A grammar beyond it is refused by name. */
export interface GrammarLimits {
  /** Characters of the specification as text. */
  readonly textLength: number
  /** States of all automata of strings together. */
  readonly states: number
  /** Schemas, alternatives and properties after they were combined. */
  readonly nodes: number
  /** Milliseconds of compilation. */
  readonly milliseconds: number
}

export const GRAMMAR_LIMITS: GrammarLimits = {
  textLength: 1_000_000,
  states: 200_000,
  nodes: 200_000,
  milliseconds: 2_000,
}

/** Counts what a compilation takes. */
export class Budget {
  readonly limits: GrammarLimits
  #states = 0
  #nodes = 0
  #ticks = 0
  readonly #started = performance.now()

  constructor(limits: GrammarLimits) {
    this.limits = limits
  }

  /** Throws `schema_too_complex`. */
  states(count: number, at: string): void {
    this.#states += count
    if (this.#states > this.limits.states)
      throw tooComplex(at, `needs more than ${this.limits.states} states`, 'use shorter lengths or simpler patterns')
    this.#time(at)
  }

  /** Throws `schema_too_complex`. */
  nodes(count: number, at: string): void {
    this.#nodes += count
    if (this.#nodes > this.limits.nodes)
      throw tooComplex(
        at,
        `becomes more than ${this.limits.nodes} alternatives`,
        'tell the branches of oneOf, anyOf and not apart by a required const property',
      )
    this.#time(at)
  }

  #time(at: string): void {
    if (++this.#ticks % 256 !== 0) return
    if (performance.now() - this.#started > this.limits.milliseconds)
      throw tooComplex(at, `takes longer than ${this.limits.milliseconds} ms to compile`, 'simplify the schema')
  }
}

/** @param at the place in the specification, such as `#/properties/name/pattern` */
export function unsupported(at: string, what: string, wayOut: string): TroupeError {
  return new TroupeError('unsupported_schema', `${at}: ${what}: ${wayOut}`, { param: at })
}

export function invalid(at: string, what: string): TroupeError {
  return new TroupeError('invalid_request', `${at}: ${what}`, { param: at })
}

export function tooComplex(at: string, what: string, wayOut: string): TroupeError {
  return new TroupeError('schema_too_complex', `${at} ${what}: ${wayOut}`, { param: at })
}
