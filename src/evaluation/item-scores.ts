import { Script, createContext } from 'node:vm'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import type { ItemAnswer } from './item-run.ts'
import { jsonFields, parsed } from './json-scores.ts'
import type { EvaluationSpec, Metric } from './record.ts'
import type { Item } from './set.ts'
import { exactMatch, normalisedMatch, rougeL, tokenF1 } from './text-scores.ts'

/** Scores an answer, 0 to 1. */
export type Score = (answer: ItemAnswer, item: Item) => number

/** A pattern that takes longer on one answer does not match it. */
const REGEX_MS = 50
/** They run without a limit of time where a schema has them. */
const UNBOUNDED = ['pattern', 'patternProperties']

/** How an item is scored by each metric but `perplexity`. @throws TroupeError `invalid_request` for a pattern or schema that cannot be used */
export function scorers({
  metrics,
  pattern,
  schema,
}: Pick<EvaluationSpec, 'metrics' | 'pattern' | 'schema'>): ReadonlyMap<Metric, Score> {
  const ofText = (score: (answer: string, expected: string) => number): Score => {
    return ({ text }, { expected }) => (text === null ? 0 : score(text, expected))
  }
  const make: Readonly<Record<Exclude<Metric, 'perplexity'>, () => Score>> = {
    exact_match: () => ofText(exactMatch),
    normalized_match: () => ofText(normalisedMatch),
    token_f1: () => ofText(tokenF1),
    rouge_l: () => ofText(rougeL),
    json_fields: () => ofText((answer, expected) => jsonFields(answer, expected).share),
    regex: () => ofText(regexScore(pattern ?? '')),
    json_schema: () => ofText(schemaScore(schema ?? {})),
    choice:
      () =>
      ({ choice }, { choices, expected }) =>
        choice !== null && choices?.[choice] === expected ? 1 : 0,
  }
  return new Map(metrics.flatMap((metric) => (metric === 'perplexity' ? [] : [[metric, make[metric]()] as const])))
}

/** Runs in a context of its own, which can be stopped: some patterns take for ever on some texts. */
function regexScore(pattern: string): (answer: string) => number {
  try {
    new RegExp(pattern, 'u')
  } catch (cause) {
    throw new TroupeError('invalid_request', `\`pattern\`: ${messageOf(cause)}`, { param: 'pattern', cause })
  }
  const context = createContext({ pattern, text: '' }) as { text: string }
  const script = new Script("new RegExp(pattern, 'u').test(text)")
  return (answer) => {
    context.text = answer
    try {
      return script.runInContext(context, { timeout: REGEX_MS }) === true ? 1 : 0
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return 0
      throw error
    }
  }
}

function schemaScore(schema: JsonObject): (answer: string) => number {
  const found = UNBOUNDED.find((keyword) => JSON.stringify(schema).includes(`"${keyword}":`))
  if (found !== undefined)
    throw new TroupeError(
      'invalid_request',
      `\`schema\`: \`${found}\` is not supported here: use the metric \`regex\``,
      {
        param: 'schema',
      },
    )
  try {
    const compiled = Compile(Type.Unsafe<unknown>(schema))
    return (answer) => {
      const value = parsed(answer)
      return value !== undefined && compiled.Check(value) ? 1 : 0
    }
  } catch (cause) {
    throw new TroupeError('invalid_request', `\`schema\`: ${messageOf(cause)}`, { param: 'schema', cause })
  }
}
