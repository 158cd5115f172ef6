import { deserialize, serialize } from 'node:v8'
import type { Automaton } from './automaton.ts'
import { JsonMachine } from './json/machine.ts'
import type { NodeTable, TextTable } from './json/tables.ts'
import type { GrammarLimits } from './limits.ts'
import { Budget, invalid, tooComplex } from './limits.ts'
import { RawMachine } from './raw-machine.ts'
import { wholePattern } from './regex/languages.ts'
import { isEmptyDfa } from './regex/dfa.ts'
import { PatternError } from './regex/pattern.ts'
import { compileSchema } from './schema/compile.ts'

/** What an answer is to be. */
export type GrammarSpec =
  /** `ordered`: properties keep the order of the schema. `blanks` false: no white space between the parts. */
  | { readonly type: 'schema'; readonly schema: unknown; readonly ordered: boolean; readonly blanks: boolean }
  | { readonly type: 'regex'; readonly pattern: string }
  | { readonly type: 'choice'; readonly choices: readonly string[] }

/** A compiled specification: plain data. */
type Grammar =
  | { readonly type: 'json'; readonly nodes: readonly NodeTable[]; readonly blanks: boolean }
  | { readonly type: 'text'; readonly table: TextTable }

/**
 * Compiles a specification, serialised in shared memory.
 *
 * @throws TroupeError `invalid_request`, `unsupported_schema`, `schema_too_complex`
 */
export function compileGrammar(spec: GrammarSpec, limits: GrammarLimits): Uint8Array {
  const length = JSON.stringify(spec).length
  if (length > limits.textLength)
    throw tooComplex('#', `has ${length} characters, ${limits.textLength} are allowed`, 'send a smaller one')
  const bytes = serialize(grammarOf(spec, new Budget(limits)))
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
  shared.set(bytes)
  return shared
}

function grammarOf(spec: GrammarSpec, budget: Budget): Grammar {
  switch (spec.type) {
    case 'schema':
      return { type: 'json', nodes: compileSchema(spec.schema, spec.ordered, budget), blanks: spec.blanks }
    case 'regex':
      return { type: 'text', table: patternTable(spec.pattern, budget) }
    case 'choice':
      return { type: 'text', table: { words: [...new Set(spec.choices)].sort(), dfa: null, min: 0, max: Infinity } }
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
  const grammar = deserialize(Buffer.from(bytes)) as Grammar
  return grammar.type === 'json' ? new JsonMachine(grammar.nodes, grammar.blanks) : new RawMachine(grammar.table)
}
