import { describe, expect, it } from 'vitest'
import { compileGrammar } from '../../src/grammar/grammar.ts'
import { GRAMMAR_LIMITS } from '../../src/grammar/limits.ts'
import { accepts, automatonFor } from '../support/grammar.ts'

const JSON_GRAMMAR = String.raw`
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws # a comment
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
`

const CASES: readonly (readonly [string, string, readonly string[], readonly string[]])[] = [
  [
    'JSON',
    JSON_GRAMMAR,
    ['{}', '{"a": [1, -2.5e3, {"ü🙂": null}]}', '{"\\u00e9":"x"}\n  '],
    ['[]', '{"a" 1}', '{"a":1'],
  ],
  ['recursion', 'root ::= "(" root ")" | ""', ['', '(())'], ['(', '())']],
  ['recursion in the middle', 'root ::= "a" root "b" | "c"', ['c', 'aacbb'], ['aacb', 'acbb']],
  ['a repetition of what may be nothing', 'root ::= ("a"? ","?)* "." ', ['.', 'a,a.', ',,.'], ['a']],
  ['counts', 'root ::= "a"{2} "b"{1,} "c"{0,2} "d"{,1}'.replace('{,1}', '{0,1}'), ['aab', 'aabbccd'], ['ab', 'aabccc']],
  ['an expression', 'root ::= term ("+" term)*\nterm ::= [0-9]+ | "(" root ")"', ['1+(2+3)', '12'], ['1+', '(1']],
  ['classes', 'root ::= [^a-c\\]] [\\x41-\\x43é-] .', ['dB🙂', 'xéx', 'x-x'], ['aBx', ']Bx', 'dDx']],
  ['alternatives on lines of their own', 'root ::= "a"\n  | "b"\nother ::= "c"', ['a', 'b'], ['c']],
  ['what never ends is left out', 'root ::= "a" | "b" loop\nloop ::= "x" loop', ['a'], ['b', 'bx']],
  ['escapes', String.raw`root ::= "\t\"\\\u00e9\U0001F642"`, ['\t"\\é🙂'], []],
]

describe('grammars in GBNF', () => {
  it.each(CASES)('%s', (_, text, valid, invalid) => {
    const automaton = automatonFor({ type: 'grammar', text })
    expect(valid.map((answer) => [answer, accepts(automaton, answer)])).toEqual(valid.map((answer) => [answer, true]))
    expect(invalid.map((answer) => [answer, accepts(automaton, answer)])).toEqual(
      invalid.map((answer) => [answer, false]),
    )
  })

  it.each([
    ['left recursion', 'root ::= sum\nsum ::= sum "+" [0-9] | [0-9]', '`sum` comes to itself'],
    ['hidden left recursion', 'root ::= " "* root "x" | "y"', 'left recursion'],
    ['left recursion over several rules', 'root ::= a\na ::= b "x"\nb ::= c\nc ::= a | "y"', 'left recursion'],
    ['a rule that is missing', 'root ::= "a" other', 'line 1, column 14'],
    ['a rule written twice', 'root ::= "a"\nroot ::= "b"', 'line 2, column 1'],
    ['no root', 'begin ::= "a"', 'no rule `root`'],
    ['no rule at all', 'yes or no', 'a rule is due'],
    ['Lark', 'start: "a"', 'Lark is not supported'],
    ['tokens by name', 'root ::= <think>', 'tokens by name'],
    ['a text that is not closed', 'root ::= "a', 'not closed'],
    ['a class that is not closed', 'root ::= [a', 'not closed'],
    ['a broken escape', 'root ::= "\\u00g0"', 'hexadecimal'],
    ['a range upside down', 'root ::= [z-a]', 'upside down'],
    ['a bracket too many', 'root ::= "a")', 'a rule is due'],
    ['a bracket too few', 'root ::= ("a"', '`)` is missing'],
    ['what never ends', 'root ::= "a" root', 'no text fits'],
    ['an empty class', 'root ::= []', 'no text fits'],
    ['too many repetitions', 'root ::= "a"{1,100000}', 'more than 2000 times'],
    ['brackets nested too deeply', `root ::= ${'('.repeat(5000)}"a"${')'.repeat(5000)}`, 'nested more than 200 deep'],
    [
      'too many rules',
      'root ::= "a"\n' + Array.from({ length: 90_000 }, (_, i) => `r${i}::="a"`).join('\n'),
      'smaller one',
    ],
  ])('%s is refused by name', (_, text, part) => {
    expect(() => compileGrammar({ type: 'grammar', text }, GRAMMAR_LIMITS)).toThrow(part)
  })

  it.each([
    [
      'ambiguity',
      `root ::= a\n${'abcdefghijklmnop'
        .split('')
        .map((n, i, all) => `${n} ::= ${all[i + 1] ?? 'end'} ${all[i + 1] ?? 'end'} | ""`)
        .join('\n')}\nend ::= "x"?`,
    ],
    ['repetitions of repetitions', 'root ::= ((("a"?){0,2000}){0,2000}){0,2000}'],
    ['many alternatives', `root ::= (${Array.from({ length: 3000 }, (_, i) => `"a" "${i}"`).join(' | ')})*`],
  ])('%s: reading stays bounded', (_, text) => {
    const automaton = automatonFor({ type: 'grammar', text })
    let state = automaton.start()
    for (let i = 0; i < 30; i++) state = state.step(i % 2 === 0 ? 0x61 : 0x31) ?? automaton.start()
    expect(state.threads.length).toBeLessThanOrEqual(256)
  })

  it('reads brackets that are nested far deeper than calls could be', () => {
    const automaton = automatonFor({ type: 'grammar', text: 'root ::= "(" root ")" ")"? | ""' })
    let state = automaton.start()
    for (let i = 0; i < 5_000; i++) state = state.step(0x28) ?? state
    expect(() => state.step(0x29)).not.toThrow()
  })
})
