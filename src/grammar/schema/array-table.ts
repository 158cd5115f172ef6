import type { ArrayTable, Option } from '../json/tables.ts'
import { unsupported } from '../limits.ts'
import type { Items } from './array-kind.ts'
import type { Expression } from './expressions.ts'
import type { NodeBuilder } from './node-builder.ts'
import { optionsOf } from './options.ts'

/** Longest prefix of items that are told apart. */
const MAX_PREFIX = 10_000

export function arrayTable(items: Items, builder: NodeBuilder, at: string): ArrayTable[] {
  const { unique } = items
  if (unique?.startsWith('!'))
    throw unsupported(
      unique.slice(1),
      '`uniqueItems` that must fail is not enforced',
      'take it out of `not`, `oneOf` and `if`',
    )
  const { counts } = items
  const length = Math.max(items.prefix.length, ...counts.map(({ from }) => from))
  if (length > MAX_PREFIX) throw unsupported(at, `tells more than ${MAX_PREFIX} items apart`, 'use `items`')
  const options = (value: Expression, index: number): Option[] => {
    const counted = counts.flatMap((count, counter) => (count.from <= index ? [{ counter, value: count.value }] : []))
    return optionsOf(value, counted, (expression) => builder.node(expression, at), at)
  }
  return [
    {
      prefix: Array.from({ length }, (_, i) => options(items.prefix[i] ?? items.rest, i)),
      rest: options(items.rest, length),
      counters: counts.map(({ min, max }) => ({ min, max })),
      min: items.min,
      max: items.max,
      unique: unique !== null,
    },
  ]
}
