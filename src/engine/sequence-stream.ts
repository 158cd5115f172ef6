import type { GenerationEvent } from '../core/generation.ts'
import type { EventQueue } from './event-queue.ts'

/**
 * The events of one sequence, to be read once. Ends after `finish`. Unlike a generator it can be left before the first event was read, and the sequence
 * is cancelled then too.
 */
export class SequenceStream implements AsyncIterableIterator<GenerationEvent, void, void> {
  readonly #queue: EventQueue<GenerationEvent>
  readonly #cancel: () => void
  readonly #onEnd: () => void
  #over = false

  /** @param onEnd called once, when it was read to the end or left */
  constructor(queue: EventQueue<GenerationEvent>, cancel: () => void, onEnd: () => void) {
    this.#queue = queue
    this.#cancel = cancel
    this.#onEnd = onEnd
  }

  async next(): Promise<IteratorResult<GenerationEvent, void>> {
    if (this.#over) return { done: true, value: undefined }
    const event = await this.#queue.next()
    if (event.type === 'finish') this.#end()
    return { done: false, value: event }
  }

  return(): Promise<IteratorResult<GenerationEvent, void>> {
    if (!this.#over) {
      this.#cancel()
      this.#end()
    }
    return Promise.resolve({ done: true, value: undefined })
  }

  #end(): void {
    this.#over = true
    this.#onEnd()
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
