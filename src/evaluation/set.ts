import { createHash } from 'node:crypto'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { TroupeError } from '../core/errors.ts'
import { canonicalJson } from '../core/json.ts'
import type { DeepReadonly } from '../core/readonly.ts'
import { Shape } from '../core/shape.ts'
import { parsed } from './json-scores.ts'
import type { EvaluationSpec } from './record.ts'

export const MAX_ITEMS = 10_000
/** The set's one file in its blob. */
export const SET_FILE = 'set.jsonl'

const Message = Type.Object(
  { role: Type.Enum(['system', 'user', 'assistant']), content: Type.String() },
  { additionalProperties: false },
)

/** One line of a set. */
export const ItemSchema = Type.Object(
  {
    input: Type.Optional(Type.String({ description: 'Goes into the prompt template of the task.' })),
    prompt: Type.Optional(Type.String({ description: 'Taken as it is.' })),
    messages: Type.Optional(
      Type.Array(Message, {
        minItems: 1,
        description: 'A conversation; without `expected` its last message is what is expected.',
      }),
    ),
    expected: Type.Optional(Type.String()),
    completion: Type.Optional(Type.String({ description: 'Another name of `expected`.' })),
    choices: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), { minItems: 2, maxItems: 64, description: 'For the metric `choice`.' }),
    ),
  },
  {
    additionalProperties: false,
    title: 'EvaluationItem',
    description: 'Exactly one of `input`, `prompt` and `messages`.',
  },
)
export type RawItem = DeepReadonly<Static<typeof ItemSchema>>

/** An item that was looked at: one way in, one expected answer. */
export interface Item {
  readonly input?: string
  readonly prompt?: string
  readonly messages?: readonly { readonly role: string; readonly content: string }[]
  readonly expected: string
  readonly choices?: readonly string[]
}

/** A set with its identity: the digest of its items' meaning, not of how they were written. */
export interface EvaluationSet {
  readonly digest: string
  readonly items: readonly Item[]
  /** What is stored. */
  readonly bytes: Uint8Array
}

const itemShape = new Shape(ItemSchema, 'item')

/** @throws TroupeError `invalid_request` naming the item */
export function readItems(raw: readonly unknown[]): EvaluationSet {
  if (raw.length === 0 || raw.length > MAX_ITEMS)
    throw wrong('items', `a set has 1 to ${MAX_ITEMS} items, not ${raw.length}`)
  const items = raw.map((one, index) => readItem(one, `items[${index}]`))
  const bytes = Buffer.from(items.map((item) => `${canonicalJson(item)}\n`).join(''))
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, items, bytes }
}

/** The items of a JSONL text. @throws TroupeError `invalid_request` naming the line */
export function parseLines(text: string): unknown[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return []
    const value = parsed(line)
    if (value === undefined) throw wrong('set', `line ${index + 1} is no JSON`)
    return [value]
  })
}

/** Throws `invalid_request` for items that a metric cannot be computed for. */
export function checkMetrics(
  { items }: EvaluationSet,
  { metrics, pattern, schema }: Pick<EvaluationSpec, 'metrics' | 'pattern' | 'schema'>,
): void {
  const find = (isBad: (item: Item) => boolean, problem: string): void => {
    const index = items.findIndex(isBad)
    if (index >= 0) throw wrong(`items[${index}]`, problem)
  }
  if (metrics.includes('json_fields'))
    find(({ expected }) => parsed(expected) === undefined, '`json_fields` needs an `expected` that is JSON')
  if (metrics.includes('choice'))
    find(
      ({ choices, expected }) => !choices?.includes(expected),
      '`choice` needs `choices`, and `expected` as one of them',
    )
  if (metrics.includes('perplexity')) find(({ expected }) => expected === '', '`perplexity` needs an `expected`')
  if (metrics.includes('regex') !== (pattern !== null))
    throw wrong('pattern', 'the metric `regex` and `pattern` go together')
  if (metrics.includes('json_schema') !== (schema !== null))
    throw wrong('schema', 'the metric `json_schema` and `schema` go together')
}

function readItem(raw: unknown, at: string): Item {
  if (!itemShape.matches(raw)) {
    try {
      itemShape.check(raw, 'invalid_request')
    } catch (error) {
      throw wrong(at, (error as Error).message)
    }
  }
  const { input, prompt, messages, expected, completion, choices } = raw as RawItem
  const given = [input, prompt, messages].filter((one) => one !== undefined)
  if (given.length !== 1) throw wrong(at, 'send exactly one of `input`, `prompt` and `messages`')
  if (expected !== undefined && completion !== undefined)
    throw wrong(at, '`expected` and `completion` are the same: send one')
  const stated = expected ?? completion
  const last = messages?.at(-1)
  if (stated === undefined && (last?.role !== 'assistant' || messages!.length < 2))
    throw wrong(
      at,
      'says nothing about what is expected: send `expected`, or end `messages` with the assistant’s answer',
    )
  return {
    ...(input !== undefined && { input }),
    ...(prompt !== undefined && { prompt }),
    ...(messages && { messages: stated === undefined ? messages.slice(0, -1) : messages }),
    expected: stated ?? last!.content,
    ...(choices && { choices }),
  }
}

function wrong(param: string, problem: string): TroupeError {
  return new TroupeError('invalid_request', `\`${param}\`: ${problem}`, { param })
}
