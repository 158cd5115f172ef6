import { ARRAY_KIND } from './array-kind.ts'
import type { Kind, KindName } from './kinds.ts'
import { NUMBER_KIND } from './number-kind.ts'
import { OBJECT_KIND } from './object-kind.ts'
import { STRING_KIND } from './string-kind.ts'

/** A kind without constraints of its own: `null`, `true` and `false`. */
const single = (name: KindName, value: unknown): Kind<null | true> => ({
  name,
  top: true,
  meet: () => true,
  constraints: () => [],
  values: (values) => (values.includes(value) ? { holds: [true], fails: [] } : { holds: [], fails: [true] }),
  unevaluated: () => null,
})

/** Every kind of value that JSON has. */
export const KINDS = {
  null: single('null', null),
  true: single('true', true),
  false: single('false', false),
  number: NUMBER_KIND,
  string: STRING_KIND,
  array: ARRAY_KIND,
  object: OBJECT_KIND,
}
