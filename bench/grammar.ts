import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { Constraints } from '../src/engine/constraint.ts'
import { automatonOf, compileGrammar } from '../src/grammar/grammar.ts'
import { GRAMMAR_LIMITS } from '../src/grammar/limits.ts'
import { TokenMasks } from '../src/grammar/token-masks.ts'
import { TokenMatcher } from '../src/grammar/token-matcher.ts'
import { vocabularyOf } from '../src/grammar/vocabulary.ts'
import { randomFrom, tokensOf } from '../test/support/grammar.ts'
import { begin } from './begin.ts'
import { syntheticTokens } from './synthetic-vocabulary.ts'

/** What constraints cost on a vocabulary of 150,000 tokens: first masks, and 16 rows of one step. */

begin()
const { values: options } = parseArgs({ options: { json: { type: 'string' } } })
const SIZE = 150_000
const ROWS = 16
const STEPS = 60
const STEP_MS = 30
const WORD = /[\p{L} ]{3,}/u

const FILE = new URL('../test/fixtures/grammar/real-shapes.json', import.meta.url)
const SHAPES = Object.values(JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, object>)
const tokens = syntheticTokens(SIZE)
const began = performance.now()
const vocabulary = vocabularyOf(tokens, SIZE)
const sortMs = performance.now() - began

const large = {
  type: 'object',
  properties: Object.fromEntries(
    Array.from({ length: 5_000 }, (_, i) => [`property_${i}`, i % 3 ? { type: 'string' } : { type: 'integer' }]),
  ),
  required: Array.from({ length: 100 }, (_, i) => `property_${i}`),
}

const specOf = (schema: object) => ({ type: 'schema', schema, ordered: false, blanks: true }) as const

function firstMask(schema: object): number {
  const masks = new TokenMasks(vocabulary, 2 ** 26)
  const start = performance.now()
  TokenMatcher.start(automatonOf(compileGrammar(specOf(schema), GRAMMAR_LIMITS)), masks)!.mask()
  return performance.now() - start
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

/** Milliseconds that constraints add to a step of 16 rows, each with a schema of its own. */
function stepCosts(): number[] {
  const constraints = new Constraints()
  const random = randomFrom(1)
  const compiled = SHAPES.slice(0, ROWS).map((schema, i) => ({
    ...{ digest: String(i), grammar: compileGrammar(specOf(schema), GRAMMAR_LIMITS) },
    ...{ vocabulary, begun: '', endTokens: [] },
  }))
  const begin = () => compiled.map((constraint) => constraints.of(constraint, []))
  const logits = new Float32Array(SIZE)
  let rows = begin()
  const costs: number[] = []
  for (let step = 0; step < STEPS; step++) {
    let cost = 0
    rows = rows.map((row, i) => {
      logits.fill(0)
      const start = performance.now()
      row.restrict(logits)
      cost += performance.now() - start
      const allowed = [...logits.keys()].filter((token) => logits[token] === 0)
      if (allowed.length === 0) return constraints.of(compiled[i]!, [])
      // Text as models write it is mostly words.
      const words =
        allowed.length > 1_000 && random() < 0.7
          ? allowed.filter((token) => WORD.test(Buffer.from(tokens[token]!).toString()))
          : []
      const pool = words.length > 0 ? words : allowed
      const token = pool[Math.floor(random() * pool.length)]!
      const accepting = performance.now()
      row.accept(token)
      const over = row.complete
      cost += performance.now() - accepting
      return over ? constraints.of(compiled[i]!, []) : row
    })
    costs.push(cost)
  }
  return costs
}

const warm = firstMask(SHAPES[0]!)
const small = SHAPES.slice(1).map(firstMask)
const big = [firstMask(large), firstMask(large), firstMask(large)]
const cold = stepCosts()
const share = (100 * median(cold.slice(STEPS / 2))) / STEP_MS
const some = TokenMatcher.start(
  automatonOf(compileGrammar(specOf({ type: 'string' }), GRAMMAR_LIMITS)),
  new TokenMasks(vocabulary, 2 ** 26),
)!

const rows: Row[] = [
  { name: 'vocabulary of 150,000 sorted', value: sortMs, unit: 'ms', target: '≤ 1000', met: sortMs <= 1_000 },
  { name: 'first mask of the first schema of a process', value: warm, unit: 'ms', target: null, met: null },
  {
    name: 'first mask of a new small schema, median of 49',
    value: median(small),
    unit: 'ms',
    target: '≤ 5',
    met: median(small) <= 5,
  },
  {
    name: 'first mask of a new small schema, slowest of 49',
    value: Math.max(...small),
    unit: 'ms',
    target: null,
    met: null,
  },
  {
    name: 'first mask of a schema of 5,000 properties',
    value: median(big),
    unit: 'ms',
    target: '≤ 300',
    met: median(big) <= 300,
  },
  { name: '16 constrained rows, share of a step of 30 ms', value: share, unit: '%', target: '≤ 5', met: share <= 5 },
  {
    name: '16 constrained rows, slowest step with new masks',
    value: Math.max(...cold),
    unit: 'ms',
    target: null,
    met: null,
  },
  { name: 'tokens that may begin a text', value: tokensOf(some.mask()).length, unit: '', target: null, met: null },
]
report('npm run bench:grammar', rows, options.json)
