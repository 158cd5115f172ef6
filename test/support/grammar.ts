import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { VocabularyData } from '../../src/core/constraint.ts'
import type { Automaton, State } from '../../src/grammar/automaton.ts'
import type { GrammarSpec } from '../../src/grammar/grammar.ts'
import { automatonOf, compileGrammar } from '../../src/grammar/grammar.ts'
import { GRAMMAR_LIMITS } from '../../src/grammar/limits.ts'
import { vocabularyOf } from '../../src/grammar/vocabulary.ts'

export function automatonFor(spec: GrammarSpec): Automaton {
  return automatonOf(compileGrammar(spec, GRAMMAR_LIMITS))
}

export function schemaAutomaton(schema: unknown, ordered = false): Automaton {
  return automatonFor({ type: 'schema', schema, ordered, blanks: true })
}

/** Whether the automaton accepts exactly this text. */
export function accepts(automaton: Automaton, text: string): boolean {
  let state: State | null = automaton.start()
  for (const byte of Buffer.from(text)) state = state?.step(byte) ?? null
  return state?.canEnd ?? false
}

/** All bytes, words, pieces of JSON, numbers, tokens that are parts of characters. */
export function testTokens(): Uint8Array[] {
  const words = [
    'the',
    ' a',
    'name',
    ' order',
    'id',
    'Über',
    ' 日本',
    '🙂',
    'positive',
    'value',
    'x-',
    'INV-',
    'celsius',
    '-',
  ]
  const pieces = [
    '{"',
    '":',
    '": ',
    '", "',
    '"}',
    '},',
    '[{',
    ']}',
    '\\n',
    '\\u00',
    '\n  ',
    ' "',
    'true',
    'null',
    '":"',
    '",',
    '0.',
    '00',
    '19',
    '250',
    '2024-',
  ]
  const parts = [Uint8Array.of(0xe6, 0x97), Uint8Array.of(0x9f, 0x99, 0x82), Uint8Array.of(0x61, 0xc3)]
  const bytes = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte))
  return [...bytes, ...[...words, ...pieces].map((text) => new TextEncoder().encode(text)), ...parts]
}

export function testVocabulary(): VocabularyData {
  const tokens = testTokens()
  return vocabularyOf(tokens, tokens.length)
}

/** The tokens of a mask. */
export function tokensOf(mask: Uint32Array): number[] {
  const out: number[] = []
  for (let token = 0; token < mask.length * 32; token++)
    if ((mask[token >> 5]! & (1 << (token & 31))) !== 0) out.push(token)
  return out
}

/** Whether ajv takes a value. Decimals are compared as decimals, and what objects inherit is not theirs. */
export function validatorOf(schema: object | boolean): (value: unknown) => boolean {
  const ajv = new Ajv2020({ strict: false, ownProperties: true, multipleOfPrecision: 9, logger: false })
  addFormats.default(ajv)
  for (const format of ['idn-email', 'idn-hostname', 'iri', 'iri-reference']) ajv.addFormat(format, true)
  const validate = ajv.compile(schema)
  return (value) => validate(value) === true
}

/** Numbers from 0 up to 1 that are the same in every run. */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
