import type { ToolCall, ToolFormat } from './tool-format.ts'

/** Text that is final, and calls. */
export interface ScannedCalls {
  readonly text: string
  readonly calls: readonly ToolCall[]
}

const NOTHING: ScannedCalls = { text: '', calls: [] }

/**
 * Takes the calls of functions out of an answer that comes in pieces; the result does not depend on how it was cut. What is no call of
 * one of the offered functions stays text, white space around calls is dropped. Only what could still become a call is held back.
 */
export class ToolScanner {
  readonly #format: ToolFormat
  readonly #names: ReadonlySet<string>
  #held: string
  /** Where the block within `#held` begins; null while it is text. */
  #opened: number | null = null
  /** No call can come any more. */
  #onlyText = false
  #found = false

  /** @param begun what of the answer stands at the end of the prompt */
  constructor(format: ToolFormat, names: ReadonlySet<string>, begun = '') {
    this.#format = format
    this.#names = names
    this.#held = begun
  }

  push(piece: string): ScannedCalls {
    this.#held += piece
    let text = ''
    const calls: ToolCall[] = []
    for (;;) {
      if (this.#opened === null) text += this.#takeText()
      const block = this.#opened === null ? null : this.#takeBlock(this.#opened)
      if (block === null) return { text, calls }
      text += block.text
      calls.push(...block.calls)
    }
  }

  /** What is still held back: the answer ended. */
  flush(): ScannedCalls {
    const held = this.#held
    const opened = this.#opened
    this.#held = ''
    this.#opened = null
    if (opened !== null) return this.#read(held, held.slice(opened))
    return this.#found && held.trim() === '' ? NOTHING : { text: held, calls: [] }
  }

  /** Text before the next opening; what may become one stays. */
  #takeText(): string {
    const { atStart, open } = this.#format
    if (this.#onlyText) return this.#cut(this.#held.length)
    if (atStart) {
      const start = this.#held.search(/\S/)
      if (start < 0) return ''
      const rest = this.#held.slice(start)
      if (open.some((marker) => rest.startsWith(marker))) this.#opened = 0
      else if (!open.some((marker) => marker.startsWith(rest))) this.#onlyText = true
      return this.#onlyText ? this.#cut(this.#held.length) : ''
    }
    const [marker] = open as [string]
    const at = this.#held.indexOf(marker)
    const end = at >= 0 ? at : this.#held.length - overlap(this.#held, marker)
    const words = this.#held.slice(0, end).trimEnd().length
    if (at >= 0) this.#opened = at + marker.length - words
    return this.#cut(words)
  }

  /** A block that is complete; null while it is not. */
  #takeBlock(opened: number): ScannedCalls | null {
    const { close } = this.#format
    const end = close === null ? -1 : this.#held.indexOf(close, opened)
    if (close === null || end < 0) return null
    const block = this.#held.slice(opened, end)
    this.#opened = null
    return this.#read(this.#cut(end + close.length), block)
  }

  #read(whole: string, block: string): ScannedCalls {
    const calls = this.#format.parse(block)
    if (!calls?.every(({ name }) => this.#names.has(name))) return { text: whole, calls: [] }
    this.#found ||= calls.length > 0
    return { text: '', calls }
  }

  #cut(length: number): string {
    const text = this.#held.slice(0, length)
    this.#held = this.#held.slice(length)
    return text
  }
}

/** How many characters at the end of the text are the beginning of the marker. */
function overlap(text: string, marker: string): number {
  for (let length = Math.min(text.length, marker.length - 1); length > 0; length--)
    if (text.endsWith(marker.slice(0, length))) return length
  return 0
}
