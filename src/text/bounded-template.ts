import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja'
import type { Program, RuntimeValue, Statement } from '@huggingface/jinja'
import { formatTime } from './format-time.ts'
import { isComparison, isStripOfCharacters, pythonEqual, pythonStrip } from './python-jinja.ts'

/** Longest rendering: a thousand messages through a long template take some 50 ms. */
const MAX_MILLISECONDS = 1000
/** UTF-16 units of any text and items of any list that come up while rendering. */
const MAX_SIZE = 4 * 1024 * 1024
const MAX_RANGE = 100_000

/** A Jinja template with bounded time and output: templates come with models and are not trusted. */
export class BoundedTemplate {
  readonly #program: Program

  /** Throws a `SyntaxError` or `Error` of the template engine when the source cannot be parsed. */
  constructor(source: string) {
    this.#program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }))
  }

  /** Renders with the given variables. Throws what the template raises, or an `Error` at a bound. */
  render(variables: Readonly<Record<string, unknown>>): string {
    const environment = new Environment()
    for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value)
    const result = new BoundedInterpreter(environment).run(this.#program).value
    if (typeof result !== 'string') throw new Error('the template gave no text')
    return result
  }
}

/** Every evaluation of a node of the syntax tree comes through `evaluate`: the one place to look at the clock and the sizes. */
class BoundedInterpreter extends Interpreter {
  readonly #deadline = performance.now() + MAX_MILLISECONDS

  override evaluate(statement: Statement | undefined, environment: Environment): RuntimeValue {
    if (performance.now() > this.#deadline) throw new Error(`the template takes longer than ${MAX_MILLISECONDS} ms`)
    const result = this.#asPython(statement, environment) ?? super.evaluate(statement, environment)
    const { value } = result
    if ((typeof value === 'string' || Array.isArray(value)) && value.length > MAX_SIZE)
      throw new Error(`the template makes a text or list longer than ${MAX_SIZE}`)
    return result
  }

  /** What the library does in another way than Python's Jinja; null for everything else. */
  #asPython(statement: Statement | undefined, environment: Environment): RuntimeValue | null {
    if (isComparison(statement)) {
      const { left, right, operator } = statement
      const same = pythonEqual(this.evaluate(left, environment), this.evaluate(right, environment))
      return new Environment().set('result', same === (operator.value === '=='))
    }
    if (!isStripOfCharacters(statement)) return null
    const text = this.evaluate(statement.callee.object, environment).value
    const characters = this.evaluate(statement.args[0], environment).value
    if (typeof text !== 'string' || typeof characters !== 'string') return null
    return new Environment().set('result', pythonStrip(text, characters, statement.callee.property.value))
  }
}

const GLOBALS = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  range: boundedRange,
  raise_exception: (message: unknown) => {
    throw new Error(typeof message === 'string' ? message : 'the template raised an exception')
  },
  strftime_now: (format: unknown) => formatTime(new Date(), typeof format === 'string' ? format : '%Y-%m-%d'),
}

/** Python's `range`, as a list. */
function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second]
  const count = Math.max(0, Math.ceil((stop - start) / step))
  if (step === 0 || !(count <= MAX_RANGE)) throw new Error(`range() is limited to ${MAX_RANGE} items and a step`)
  return Array.from({ length: count }, (_, index) => start + index * step)
}
