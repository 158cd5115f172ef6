import { randomBytes } from 'node:crypto'
import type { CallScanner, ScannedCalls } from '../../../generation/ports.ts'

type Call = ScannedCalls['calls'][number]

const ID_CHARACTERS = 'abcdefghijklmnopqrstuvwxyz012345'

/** A call as OpenAI writes it. Ids have nine letters and digits, which is all that Mistral's templates take. */
export function wireCall(call: Call) {
  const id = Array.from(randomBytes(9), (byte) => ID_CHARACTERS[byte % ID_CHARACTERS.length]).join('')
  return { id, type: 'function' as const, function: { name: call.name, arguments: call.arguments } }
}

/** The text and the calls of a whole answer; without a scanner all of it is text. */
export function scanAll(scanner: CallScanner | null, text: string, maxCalls: number): ScannedCalls {
  if (!scanner) return { text, calls: [] }
  const [scanned, rest] = [scanner.push(text), scanner.flush()]
  return { text: scanned.text + rest.text, calls: [...scanned.calls, ...rest.calls].slice(0, maxCalls) }
}

/** An answer that was cut off stays so, whatever calls came before. */
export function finishReason(reason: 'stop' | 'length', calls: number): 'stop' | 'length' | 'tool_calls' {
  return reason === 'stop' && calls > 0 ? 'tool_calls' : reason
}

/** The deltas of one choice of a stream. A call is one delta, sent when it is complete. */
export class StreamedChoice {
  readonly #scanner: CallScanner | null
  readonly #maxCalls: number
  #begun = false
  #calls = 0

  constructor(scanner: CallScanner | null, maxCalls = Infinity) {
    this.#scanner = scanner
    this.#maxCalls = maxCalls
  }

  /** Calls so far. */
  get calls(): number {
    return this.#calls
  }

  get begun(): boolean {
    return this.#begun
  }

  /** What the first delta has besides: the role. */
  begin(): object {
    const first = !this.#begun
    this.#begun = true
    return first ? { role: 'assistant' } : {}
  }

  /** The deltas for a piece of text; `always` asks for one even when all is held back. */
  deltas(piece: string, always: boolean): object[] {
    return this.#write(this.#scanner?.push(piece) ?? { text: piece, calls: [] }, always || !this.#scanner)
  }

  /** The deltas for what was held back. */
  end(): object[] {
    return this.#scanner ? this.#write(this.#scanner.flush(), false) : []
  }

  #write({ text, calls: found }: ScannedCalls, always: boolean): object[] {
    const calls = found.slice(0, this.#maxCalls - this.#calls)
    const words = text !== '' || (always && calls.length === 0) ? [{ ...this.begin(), content: text }] : []
    return [
      ...words,
      ...calls.map((call) => ({ ...this.begin(), tool_calls: [{ index: this.#calls++, ...wireCall(call) }] })),
    ]
  }
}
