import type { RuntimeValue, Statement } from '@huggingface/jinja'

/** Where the template library and Python's Jinja part. */

interface Comparison extends Statement {
  readonly operator: { readonly value: string }
  readonly left: Statement
  readonly right: Statement
}

/** `a == b` or `a != b`. */
export function isComparison(statement: Statement | undefined): statement is Comparison {
  if (statement?.type !== 'BinaryExpression') return false
  const { value } = (statement as Comparison).operator
  return value === '==' || value === '!='
}

const STRIPS = ['strip', 'lstrip', 'rstrip'] as const

interface StripCall extends Statement {
  readonly callee: Statement & {
    readonly object: Statement
    readonly property: Statement & { readonly value: (typeof STRIPS)[number] }
    readonly computed: boolean
  }
  readonly args: readonly [Statement]
}

/** `text.strip(characters)` and its kin, whose argument the library does not read. */
export function isStripOfCharacters(statement: Statement | undefined): statement is StripCall {
  if (statement?.type !== 'CallExpression') return false
  const { callee, args } = statement as StripCall
  return (
    callee.type === 'MemberExpression' &&
    !callee.computed &&
    STRIPS.includes(callee.property.value) &&
    args.length === 1
  )
}

/** The text without any of the characters at its ends, or at one of them. */
export function pythonStrip(text: string, characters: string, method: (typeof STRIPS)[number]): string {
  const all = Array.from(text)
  const kept = (item: string): boolean => !characters.includes(item)
  const start = method === 'rstrip' ? 0 : all.findIndex(kept)
  const end = method === 'lstrip' ? all.length : all.findLastIndex(kept) + 1
  return start < 0 ? '' : all.slice(start, end).join('')
}

/** Lists and objects are equal when their contents are; the library asks whether they are the same ones. */
export function pythonEqual(left: RuntimeValue, right: RuntimeValue): boolean {
  if ((left.type === 'UndefinedValue') !== (right.type === 'UndefinedValue')) return false
  const [a, b] = [left.value, right.value]
  if (Array.isArray(a) && Array.isArray(b)) {
    const others = b as readonly RuntimeValue[]
    return a.length === b.length && (a as readonly RuntimeValue[]).every((item, i) => pythonEqual(item, others[i]!))
  }
  if (a instanceof Map && b instanceof Map) {
    const others = b as ReadonlyMap<string, RuntimeValue>
    const same = ([key, item]: [string, RuntimeValue]): boolean =>
      others.has(key) && pythonEqual(item, others.get(key)!)
    return a.size === b.size && [...(a as ReadonlyMap<string, RuntimeValue>)].every(same)
  }
  // True is 1.
  const [first, second] = [a, b].map((value) => (typeof value === 'boolean' ? Number(value) : value))
  return first === second
}
