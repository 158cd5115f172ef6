import type { JsonObject } from '../../core/json.ts'
import type { Located, Schema, SchemaDocument } from './document.ts'

/**
 * Schemas that must all hold, or fail where the number is negative: ascending numbers of `Literals`. The values of children are described
 * with these, so recursion ends: there are only so many of them.
 */
export type Expression = readonly number[]

export const ANYTHING: Expression = []
/** No value at all. */
export const NOTHING: Expression = [0]

export interface Literal {
  readonly located: Located
  /** The resources passed on the way here, outermost first; empty unless the schema has dynamic references. */
  readonly scope: readonly string[]
}

/** Numbers the schemas of a document; schemas that say the same share a number. */
export class Literals {
  readonly #document: SchemaDocument
  readonly #numbers = new Map<string, number>()
  readonly #identities = new Map<JsonObject, number>()
  readonly #literals: Literal[] = []

  constructor(document: SchemaDocument) {
    this.#document = document
  }

  get(number: number): Literal {
    return this.#literals[Math.abs(number) - 1]!
  }

  root(): Expression {
    return this.#expression({ located: this.#document.root, scope: [] })
  }

  /** A schema that stands in another one. */
  child(parent: Literal, schema: Schema): Expression {
    return this.#expression({ located: this.#document.child(parent.located, schema), scope: parent.scope })
  }

  /** A schema that another one refers to. */
  target(parent: Literal, located: Located): Expression {
    return this.#expression({ located, scope: parent.scope })
  }

  #expression({ located, scope }: Literal): Expression {
    const { schema } = located
    if (schema === true) return ANYTHING
    if (schema === false) return NOTHING
    const known = this.#identities.get(schema)
    const identity = known ?? this.#identities.size
    if (known === undefined) this.#identities.set(schema, identity)
    const passed = !this.#document.dynamic || scope.includes(located.base) ? scope : [...scope, located.base]
    const key = `${textOf(schema) ?? identity} ${located.base} ${passed.join(' ')}`
    const number = this.#numbers.get(key) ?? this.#literals.push({ located, scope: passed })
    this.#numbers.set(key, number)
    return [number]
  }
}

/** Small schemas that are written alike are the same schema. */
function textOf(schema: JsonObject): string | null {
  for (const value of Object.values(schema))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return null
  const text = JSON.stringify(schema)
  return text.length < 400 && !/"\$(id|anchor|dynamicAnchor)"/.test(text) ? text : null
}

export function both(a: Expression, b: Expression): Expression {
  if (a === b || b.length === 0) return a
  if (a.length === 0) return b
  const all = [...new Set([...a, ...b])].sort((x, y) => x - y)
  const members = new Set(all)
  return all.some((number) => number === 0 || members.has(-number)) ? NOTHING : all
}

/** The opposite of an expression of at most one schema. */
export function opposite(expression: Expression): Expression {
  if (expression.length === 0) return NOTHING
  if (expression.length > 1) throw new Error('only a single schema can be negated')
  return expression[0] === 0 ? ANYTHING : [-expression[0]!]
}

export function isNothing(expression: Expression): boolean {
  return expression[0] === 0 && expression.length === 1
}
