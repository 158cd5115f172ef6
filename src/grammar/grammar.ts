import { deserialize, serialize } from 'node:v8'
import type { Automaton } from './automaton.ts'
import type { CallsSpec } from './calls.ts'
import { callParts } from './calls.ts'
import type { TextTable } from './json/tables.ts'
import type { GrammarLimits } from './limits.ts'
import { Budget, invalid, tooComplex } from './limits.ts'
import { isEmptyDfa } from './regex/dfa.ts'
import { wholePattern } from './regex/languages.ts'
import { PatternError } from './regex/pattern.ts'
import { analysed } from './rules/analysis.ts'
import { PartsBuilder } from './rules/builder.ts'
import { RuleMachine } from './rules/machine.ts'
import type { RuleTables } from './rules/tables.ts'
import { compileSchema } from './schema/compile.ts'
import { gbnfPart } from './written/gbnf.ts'

/** What an answer is to be. */
export type GrammarSpec =
  /** `ordered`: properties keep the order of the schema. `blanks` false: no white space between the parts. */
  | { readonly type: 'schema'; readonly schema: unknown; readonly ordered: boolean; readonly blanks: boolean }
  | { readonly type: 'regex'; readonly pattern: string }
  | { readonly type: 'choice'; readonly choices: readonly string[] }
  /** GBNF. */
  | { readonly type: 'grammar'; readonly text: string }
  | CallsSpec
  | { readonly type: 'either'; readonly specs: readonly GrammarSpec[] }

/**
 * Compiles a specification, serialised in shared memory.
 *
 * @throws TroupeError `invalid_request`, `unsupported_schema`, `schema_too_complex`
 */
export function compileGrammar(spec: GrammarSpec, limits: GrammarLimits): Uint8Array {
  const length = JSON.stringify(spec).length
  if (length > limits.textLength)
    throw tooComplex('#', `has ${length} characters, ${limits.textLength} are allowed`, 'send a smaller one')
  const budget = new Budget(limits)
  const build = new PartsBuilder(budget, spec.type === 'grammar' ? 'grammar' : '#')
  const bytes = serialize(analysed(build.build(partOf(build, spec, budget)), spec.type))
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
  shared.set(bytes)
  return shared
}

function partOf(build: PartsBuilder, spec: GrammarSpec, budget: Budget): number {
  switch (spec.type) {
    case 'schema':
      return build.json({ nodes: compileSchema(spec.schema, spec.ordered, budget), blanks: spec.blanks })
    case 'regex':
      return build.text(patternTable(spec.pattern, budget))
    case 'choice':
      return build.text({ words: [...new Set(spec.choices)].sort(), dfa: null, min: 0, max: Infinity })
    case 'calls':
      return callParts(build, spec, budget)
    case 'either':
      return build.either(spec.specs.map((one) => partOf(build, one, budget)))
    case 'grammar':
      return gbnfPart(build, spec.text)
  }
}

function patternTable(pattern: string, budget: Budget): TextTable {
  try {
    const dfa = wholePattern(pattern, budget, 'regex')
    if (isEmptyDfa(dfa)) throw invalid('regex', 'no text matches the pattern')
    return { words: null, dfa, min: 0, max: Infinity }
  } catch (error) {
    if (error instanceof PatternError) throw invalid('regex', `the pattern cannot be enforced: ${error.message}`)
    throw error
  }
}

/** The automaton of a compiled specification. */
export function automatonOf(bytes: Uint8Array): Automaton {
  // `deserialize` reads no shared memory.
  return new RuleMachine(deserialize(Buffer.from(bytes)) as RuleTables)
}
