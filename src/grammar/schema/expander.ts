import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import type { Budget } from '../limits.ts'
import { invalid } from '../limits.ts'
import { KINDS } from './all-kinds.ts'
import type { Alternatives, Alternative } from './alternatives.ts'
import { checked, forgotten, product } from './alternatives.ts'
import type { SchemaDocument } from './document.ts'
import type { Expression, Literal } from './expressions.ts'
import { both, isNothing, Literals, opposite } from './expressions.ts'
import { checkKeywords, dependentSchemas, kindOf, listOf, schemaOfValue, typeSays, valuesOf } from './keywords.ts'
import type { Constraint, Kind, Tools } from './kinds.ts'
import { UNEVALUATED } from './kinds.ts'
import { INTEGER } from './number-kind.ts'
import { absent, OBJECT_KIND, present } from './object-kind.ts'
import { PatternCache } from './pattern-cache.ts'
import { fits, STRING_KIND } from './string-kind.ts'

/** Longest chain of schemas that are applied to the same value. */
const MAX_CHAIN = 200

/**
 * Turns schemas into alternatives of plain constraints, kind by kind of values: `allOf` is a product, `anyOf` a sum, and what must fail is
 * the sum of the ways to fail.
 */
export class Expander {
  readonly literals: Literals
  readonly tools: Tools
  readonly #document: SchemaDocument
  readonly #expanded = new Map<string, Alternatives<unknown>>()
  readonly #impossible = new Map<string, boolean>()
  readonly #synthetic = new WeakMap<object, JsonObject>()

  constructor(document: SchemaDocument, budget: Budget) {
    this.#document = document
    this.literals = new Literals(document)
    const patterns = new PatternCache(budget)
    this.tools = {
      literals: this.literals,
      budget,
      placeOf: (literal) => document.placeOf(literal.located.schema),
      child: (literal, schema) => this.#child(literal, schema),
      languages: (pattern, at) => patterns.languagesOf(pattern, at),
      impossible: (expression) => this.#isImpossible(expression),
      accepts: (expression, text) => this.expand(expression, STRING_KIND).some(({ all }) => fits(text, all)),
    }
  }

  /** The ways for a value of a kind to fit. None: no such value fits. */
  expand<C>(expression: Expression, kind: Kind<C>, chain = 0): Alternatives<C> {
    if (isNothing(expression)) return []
    const key = `${kind.name} ${expression.join(',')}`
    const known = this.#expanded.get(key)
    if (known) return known as Alternatives<C>
    let out: Alternatives<C> = [{ all: kind.top, evaluated: UNEVALUATED }]
    for (const number of expression) {
      const literal = this.literals.get(number)
      const schema = literal.located.schema as JsonObject
      const at = this.tools.placeOf(literal)
      if (chain > MAX_CHAIN) throw invalid(at, 'refers to itself without end')
      checkKeywords(schema, at)
      const next =
        number > 0 ? this.#holding(schema, literal, kind, chain + 1) : this.#failing(schema, literal, kind, chain + 1)
      out = product(out, next, kind, this.tools, at)
    }
    this.#expanded.set(key, out)
    return out
  }

  #holding<C>(schema: JsonObject, literal: Literal, kind: Kind<C>, chain: number): Alternatives<C> {
    const at = this.tools.placeOf(literal)
    const type = typeSays(schema, kind.name, at)
    if (type === 'none') return []
    const child = (value: unknown): Expression => this.#child(literal, value)
    const expand = (expression: Expression): Alternatives<C> => this.expand(expression, kind, chain)
    let out: Alternatives<C> = [{ all: kind.top, evaluated: UNEVALUATED }]
    const add = (alternatives: Alternatives<C>): void => {
      out = product(out, alternatives, kind, this.tools, at)
    }
    for (const { holds, evaluated } of this.#own(schema, literal, kind, type))
      add(holds.map((all) => ({ all, evaluated: evaluated ?? UNEVALUATED })))
    for (const values of valuesOf(schema)) add(this.#oneOfValues(values, literal, kind, chain))
    for (const target of this.#references(schema, literal)) add(expand(target))
    for (const part of listOf(schema, 'allOf', at)) add(expand(child(part)))
    const any = listOf(schema, 'anyOf', at).map(child)
    if (any.length > 0) add(this.#document.unevaluated ? this.#signed(any, kind, chain, at) : any.flatMap(expand))
    const one = listOf(schema, 'oneOf', at).map(child)
    if (one.length > 0) add(one.flatMap((_, i) => expand(this.#only(one, i))))
    if (schema.not !== undefined) add(forgotten(expand(opposite(child(schema.not)))))
    if (schema.if !== undefined) add(this.#conditional(schema, child, expand, kind, at))
    if (kind.name === 'object') this.#dependent(schema, literal, expand, add as never)
    const rest =
      kind.name === 'object'
        ? schema.unevaluatedProperties
        : kind.name === 'array'
          ? schema.unevaluatedItems
          : undefined
    if (rest === undefined) return out
    return product(
      out.flatMap((alternative) => this.#closed(alternative, child(rest), kind, 'holds')),
      [{ all: kind.top, evaluated: UNEVALUATED }],
      kind,
      this.tools,
      at,
    )
  }

  #failing<C>(schema: JsonObject, literal: Literal, kind: Kind<C>, chain: number): Alternatives<C> {
    const at = this.tools.placeOf(literal)
    const top: Alternatives<C> = [{ all: kind.top, evaluated: UNEVALUATED }]
    const type = typeSays(schema, kind.name, at)
    if (type === 'none') return top
    const child = (value: unknown): Expression => this.#child(literal, value)
    const expand = (expression: Expression): Alternatives<C> => this.expand(expression, kind, chain)
    const out: Alternative<C>[] = []
    const fail = (expression: Expression): void => void out.push(...expand(opposite(expression)))
    for (const { fails } of this.#own(schema, literal, kind, type))
      out.push(...fails.map((all) => ({ all, evaluated: UNEVALUATED })))
    for (const values of valuesOf(schema)) out.push(...this.#noneOfValues(values, literal, kind, chain))
    for (const target of this.#references(schema, literal)) fail(target)
    for (const part of listOf(schema, 'allOf', at)) fail(child(part))
    const any = listOf(schema, 'anyOf', at).map(child)
    if (any.length > 0) out.push(...expand(any.map(opposite).reduce(both, [])))
    const one = listOf(schema, 'oneOf', at).map(child)
    if (one.length > 0) {
      out.push(...expand(one.map(opposite).reduce(both, [])))
      for (const [i, a] of one.entries()) for (const b of one.slice(i + 1)) out.push(...expand(both(a, b)))
    }
    if (schema.not !== undefined) out.push(...expand(child(schema.not)))
    if (schema.if !== undefined) {
      const test = child(schema.if)
      if (schema.then !== undefined) out.push(...expand(both(test, opposite(child(schema.then)))))
      if (schema.else !== undefined) out.push(...expand(both(opposite(test), opposite(child(schema.else)))))
    }
    if (kind.name === 'object')
      for (const [name, part] of dependentSchemas(schema))
        out.push(
          ...product(
            [{ all: present(name) as C, evaluated: UNEVALUATED }],
            expand(opposite(child(part))),
            kind,
            this.tools,
            at,
          ),
        )
    const closing = kind.name === 'object' ? 'unevaluatedProperties' : kind.name === 'array' ? 'unevaluatedItems' : null
    if (closing !== null && schema[closing] !== undefined) {
      const { [closing]: rest, ...others } = schema
      const rested = this.#holding(others, literal, kind, chain)
      out.push(...rested.flatMap((alternative) => this.#closed(alternative, child(rest), kind, 'fails')))
    }
    return forgotten(checked(out, at))
  }

  /** The keywords of a schema that speak of one kind of values. */
  #own<C>(schema: JsonObject, literal: Literal, kind: Kind<C>, type: 'all' | 'integers'): readonly Constraint<C>[] {
    const own = kind.constraints(schema, literal, this.tools)
    return type === 'integers' ? [...own, INTEGER as unknown as Constraint<C>] : own
  }

  #references(schema: JsonObject, literal: Literal): readonly Expression[] {
    const out: Expression[] = []
    if (schema.$ref !== undefined)
      out.push(this.literals.target(literal, this.#document.resolve(schema.$ref, literal.located)))
    if (schema.$dynamicRef !== undefined)
      out.push(
        this.literals.target(
          literal,
          this.#document.resolveDynamic(schema.$dynamicRef, literal.located, literal.scope),
        ),
      )
    return out
  }

  /** Which of the schemas hold is known of each, since it decides what was evaluated. */
  #signed<C>(any: readonly Expression[], kind: Kind<C>, chain: number, at: string): Alternatives<C> {
    let open: { readonly all: Alternatives<C>; readonly some: boolean }[] = [
      { all: [{ all: kind.top, evaluated: UNEVALUATED }], some: false },
    ]
    for (const part of any)
      open = open.flatMap(({ all, some }) => [
        { all: product(all, this.expand(part, kind, chain), kind, this.tools, at), some: true },
        { all: product(all, this.expand(opposite(part), kind, chain), kind, this.tools, at), some },
      ])
    return checked(
      open.flatMap(({ all, some }) => (some ? all : [])),
      at,
    )
  }

  /** That this schema holds and none of the others; those that it excludes anyhow need not be said. */
  #only(schemas: readonly Expression[], index: number): Expression {
    const own = schemas[index]!
    return schemas.reduce(
      (sum, other, i) => (i === index || this.#isImpossible(both(own, other)) ? sum : both(sum, opposite(other))),
      own,
    )
  }

  #conditional<C>(
    schema: JsonObject,
    child: (value: unknown) => Expression,
    expand: (expression: Expression) => Alternatives<C>,
    kind: Kind<C>,
    at: string,
  ): Alternatives<C> {
    const test = child(schema.if)
    const branch = (condition: Expression, then: unknown): Alternatives<C> =>
      product(
        expand(condition),
        then === undefined ? [{ all: kind.top, evaluated: UNEVALUATED }] : expand(child(then)),
        kind,
        this.tools,
        at,
      )
    return [...branch(test, schema.then), ...branch(opposite(test), schema.else)]
  }

  #dependent(
    schema: JsonObject,
    literal: Literal,
    expand: (expression: Expression) => Alternatives<unknown>,
    add: (alternatives: Alternatives<unknown>) => void,
  ): void {
    for (const [name, part] of dependentSchemas(schema)) {
      const having: Alternatives<unknown> = [{ all: present(name), evaluated: UNEVALUATED }]
      const kind = OBJECT_KIND as unknown as Kind<unknown>
      const at = this.tools.placeOf(literal)
      const fitting = product(having, expand(this.#child(literal, part)), kind, this.tools, at)
      add([{ all: absent(name), evaluated: UNEVALUATED }, ...fitting])
    }
  }

  #closed<C>(alternative: Alternative<C>, rest: Expression, kind: Kind<C>, which: 'holds' | 'fails'): Alternatives<C> {
    const constraint = kind.unevaluated(rest, alternative.evaluated, true)
    if (!constraint) return which === 'holds' ? [alternative] : []
    return product(
      [alternative],
      constraint[which].map((all) => ({ all, evaluated: constraint.evaluated ?? UNEVALUATED })),
      kind,
      this.tools,
      '#',
    )
  }

  #oneOfValues<C>(values: readonly unknown[], literal: Literal, kind: Kind<C>, chain: number): Alternatives<C> {
    if (kind.name !== 'array' && kind.name !== 'object')
      return kind.values(values, this.tools).holds.map((all) => ({ all, evaluated: UNEVALUATED }))
    return values
      .filter((value) => kindOf(value) === kind.name)
      .flatMap((value) => forgotten(this.expand(this.#valueExpression(value, literal), kind, chain)))
  }

  #noneOfValues<C>(values: readonly unknown[], literal: Literal, kind: Kind<C>, chain: number): Alternatives<C> {
    if (kind.name !== 'array' && kind.name !== 'object')
      return kind.values(values, this.tools).fails.map((all) => ({ all, evaluated: UNEVALUATED }))
    const all = values
      .filter((value) => kindOf(value) === kind.name)
      .map((value) => opposite(this.#valueExpression(value, literal)))
      .reduce(both, [])
    return this.expand(all, kind, chain)
  }

  #valueExpression(value: unknown, literal: Literal): Expression {
    const known = this.#synthetic.get(value as object)
    const schema = known ?? schemaOfValue(value)
    if (!known) this.#synthetic.set(value as object, schema)
    return this.literals.child(literal, schema)
  }

  #child(literal: Literal, schema: unknown): Expression {
    if (typeof schema !== 'boolean' && !isJsonObject(schema))
      throw invalid(this.tools.placeOf(literal), 'holds something that is neither a schema nor a boolean')
    return this.literals.child(literal, schema)
  }

  /** Conservative: false where it would take a proof by recursion. */
  #isImpossible(expression: Expression): boolean {
    if (expression.length === 0) return false
    if (isNothing(expression)) return true
    const key = expression.join(',')
    const known = this.#impossible.get(key)
    if (known !== undefined) return known
    this.#impossible.set(key, false)
    const impossible = Object.values(KINDS).every((kind) => this.expand(expression, kind as Kind<unknown>).length === 0)
    this.#impossible.set(key, impossible)
    return impossible
  }
}
