import type { Option } from '../json/tables.ts'
import { unsupported } from '../limits.ts'
import type { Expression } from './expressions.ts'
import { ANYTHING, both, isNothing } from './expressions.ts'

/** Most counts that may depend on the value of one child. */
const MAX_COUNTED = 6

/**
 * The ways a child can be: for every count that looks at its value, it is one that counts or one that does not.
 *
 * @param counted the counts that look at this child, by their number
 */
export function optionsOf(
  value: Expression,
  counted: readonly { readonly counter: number; readonly value: Expression }[],
  node: (expression: Expression) => number,
  at: string,
): Option[] {
  if (counted.length > MAX_COUNTED)
    throw unsupported(at, `more than ${MAX_COUNTED} \`contains\` count the same item`, 'use fewer')
  let open: { readonly value: Expression; readonly adds: readonly number[] }[] = [{ value, adds: [] }]
  for (const { counter, value: what } of counted)
    open = open.flatMap((option) => [
      { value: both(option.value, what), adds: [...option.adds, counter] },
      ...outside(what).map((other) => ({ value: both(option.value, other), adds: option.adds })),
    ])
  return open
    .filter((option) => !isNothing(option.value))
    .map((option) => ({ node: node(option.value), adds: option.adds }))
}

/** What an expression leaves: the ways to fail it. */
function outside(expression: Expression): readonly Expression[] {
  if (expression.length === 0) return []
  return isNothing(expression) ? [ANYTHING] : expression.map((number) => [-number])
}
