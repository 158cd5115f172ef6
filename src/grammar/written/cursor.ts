import type { TroupeError } from '../../core/errors.ts'
import { invalid } from '../limits.ts'

/** Reads the text of a grammar from its beginning to its end. */
export class Cursor {
  readonly text: string
  at = 0

  constructor(text: string) {
    this.text = text
  }

  get atEnd(): boolean {
    return this.at >= this.text.length
  }

  get next(): string {
    return this.text[this.at] ?? ''
  }

  /** Goes past a text that stands here. */
  take(text: string): boolean {
    if (!this.text.startsWith(text, this.at)) return false
    this.at += text.length
    return true
  }

  /** Goes past what a sticky expression matches here. */
  match(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = this.at
    const found = expression.exec(this.text)
    if (found) this.at = expression.lastIndex
    return found
  }

  /** Throws `invalid_request` unless the text stands here. */
  expect(text: string): void {
    if (!this.take(text)) throw this.wrong(`\`${text}\` is missing`)
  }

  /** The character that stands here, which may take two units. */
  character(): string {
    const point = this.text.codePointAt(this.at)
    if (point === undefined) throw this.wrong('the grammar ends too early')
    const character = String.fromCodePoint(point)
    this.at += character.length
    return character
  }

  /** What is wrong, with its line and column. */
  wrong(problem: string, at = this.at): TroupeError {
    const before = this.text.slice(0, at).split('\n')
    const here = this.text.slice(at, at + 20).split('\n')[0]!
    const found = here === '' ? '' : `, at \`${here}\``
    return invalid('grammar', `line ${before.length}, column ${before.at(-1)!.length + 1}${found}: ${problem}`)
  }
}
