import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ReaderGoneError } from '../../generation/reader-gone.ts'
import { envelope, toTroupeError } from '../error-envelope.ts'
import type { ErrorEnvelope } from '../error-envelope.ts'

/** How long the first object is waited for before the headers go out: what fails at once becomes a plain HTTP error. */
const PATIENCE_MS = 100
/** Proxies and clients give up on connections that say nothing for some tens of seconds. */
const KEEP_ALIVE_MS = 5_000

/** How objects are written as events. */
export interface EventStyle {
  /** Name of an object's event; absent = events have no names. */
  name?(object: object): string
  /** The last event; absent = `[DONE]`, null = none. */
  readonly last?: string | null
  /** What a failure becomes; absent = the error envelope. */
  failure?(error: ErrorEnvelope): object
}

/**
 * Sends objects as server-sent events. The headers are sent at once, and comments while there is nothing to send, as in a queue. What fails
 * before that is thrown and so becomes a plain HTTP error; later failures become one last event.
 *
 * The generator has begun when this is called, so that leaving it runs its `finally` whenever the client goes away.
 */
export async function sendEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  objects: AsyncGenerator<object, void, void>,
  style: EventStyle = {},
): Promise<FastifyReply> {
  const first = objects.next()
  await Promise.race([first, sleep(PATIENCE_MS)])
  reply.header('content-type', 'text/event-stream; charset=utf-8')
  reply.header('cache-control', 'no-cache')
  reply.header('x-accel-buffering', 'no')
  return reply.send(Readable.from(new EventLines(request, first, objects, style), { objectMode: false }))
}

/** The lines of the stream. An iterator by hand: an outer generator that was never begun would not close the inner one. */
class EventLines implements AsyncIterableIterator<string> {
  readonly #request: FastifyRequest
  readonly #objects: AsyncGenerator<object, void, void>
  readonly #style: EventStyle
  /** What was asked for and not yet sent. */
  #next: Promise<IteratorResult<object, void>> | null
  #begun = false
  #ended = false

  constructor(
    request: FastifyRequest,
    first: Promise<IteratorResult<object, void>>,
    objects: AsyncGenerator<object, void, void>,
    style: EventStyle,
  ) {
    this.#request = request
    this.#next = first
    this.#objects = objects
    this.#style = style
    // Whoever leaves early does not wait for it.
    first.catch(() => undefined)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<string, undefined>> {
    if (this.#ended) return { done: true, value: undefined }
    try {
      this.#next ??= this.#objects.next()
      const result = await within(this.#next, this.#begun ? KEEP_ALIVE_MS : 0)
      this.#begun = true
      if (result === null) return { done: false, value: ': waiting\n\n' }
      this.#next = null
      if (!result.done) return { done: false, value: this.#event(result.value) }
      this.#ended = true
      const { last = '[DONE]' } = this.#style
      return last === null ? { done: true, value: undefined } : { done: false, value: `data: ${last}\n\n` }
    } catch (thrown) {
      this.#ended = true
      if (thrown instanceof ReaderGoneError) return { done: true, value: undefined }
      const error = toTroupeError(thrown)
      if (error.status >= 500) this.#request.log.error({ err: thrown }, 'stream failed')
      const wire = envelope(error, this.#request.id)
      return { done: false, value: this.#event(this.#style.failure?.(wire) ?? wire) }
    }
  }

  async return(): Promise<IteratorResult<string, undefined>> {
    this.#ended = true
    await this.#objects.return()
    return { done: true, value: undefined }
  }

  #event(object: object): string {
    const name = this.#style.name?.(object)
    return `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(object)}\n\n`
  }
}

/** What a promise resolves to, or null when it takes longer. */
async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | null> {
  const timer = new AbortController()
  const late = sleep(milliseconds, null, { signal: timer.signal }).catch(() => null)
  try {
    return await Promise.race([promise, late])
  } finally {
    timer.abort()
  }
}
