import type { PointRange } from '../json/character-reader.ts'
import type { JsonTables, TextTable } from '../json/tables.ts'
import type { Budget } from '../limits.ts'
import type { NamedParts } from './analysis.ts'
import type { RulePart } from './tables.ts'

/** Puts the parts of a grammar together. */
export class PartsBuilder {
  /** Of the numbers of parts, those that stand for rules. */
  readonly names = new Map<number, string>()
  readonly #parts: RulePart[] = []
  readonly #budget: Budget
  readonly #at: string

  /** @param at the place in the request */
  constructor(budget: Budget, at: string) {
    this.#budget = budget
    this.#at = at
  }

  /** @param whole the number of the part that is the whole */
  build(whole: number): NamedParts {
    // The whole is the first: a sequence of one part, which is another name for it.
    const shifted = this.#parts.map((part) => renumbered(part, (number) => number + 1))
    const names = new Map([...this.names].map(([number, name]) => [number + 1, name]))
    return { parts: [{ type: 'sequence', parts: [whole + 1] }, ...shifted], names }
  }

  literal(bytes: Uint8Array | string): number {
    const read = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes
    return read.length === 0 ? this.sequence([]) : this.#add({ type: 'literal', bytes: read })
  }

  character(ranges: readonly PointRange[]): number {
    return this.#add({ type: 'character', ranges })
  }

  text(table: TextTable): number {
    return this.#add({ type: 'text', table })
  }

  json(tables: JsonTables): number {
    return this.#add({ type: 'json', tables })
  }

  sequence(parts: readonly number[]): number {
    return parts.length === 1 ? parts[0]! : this.#add({ type: 'sequence', parts })
  }

  either(parts: readonly number[]): number {
    return parts.length === 1 ? parts[0]! : this.#add({ type: 'either', parts })
  }

  repeat(part: number, min: number, max: number): number {
    return this.#add({ type: 'repeat', part, min, max })
  }

  /** A rule whose body is not known yet. */
  declare(name: string): number {
    const number = this.#add({ type: 'either', parts: [] })
    this.names.set(number, name)
    return number
  }

  define(rule: number, body: number): void {
    this.#parts[rule] = { type: 'either', parts: [body] }
  }

  #add(part: RulePart): number {
    this.#budget.nodes(1, this.#at)
    return this.#parts.push(part) - 1
  }
}

function renumbered(part: RulePart, by: (number: number) => number): RulePart {
  if (part.type === 'sequence' || part.type === 'either') return { ...part, parts: part.parts.map(by) }
  return part.type === 'repeat' ? { ...part, part: by(part.part) } : part
}
