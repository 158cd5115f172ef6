import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { envelope, toTroupeError } from '../error-envelope.ts'
import { ReaderGoneError } from '../../generation/reader-gone.ts'

/**
 * Sends objects as server-sent events, one `data:` line each, then `data: [DONE]`.
 *
 * The first object is awaited before anything is sent: what fails until then is thrown, and so becomes a plain HTTP error. It also means that
 * the generator has begun, so that leaving it runs its `finally` whenever the client goes away. Later failures become one last event with the
 * error envelope.
 */
export async function sendEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  objects: AsyncGenerator<object, void, void>,
): Promise<FastifyReply> {
  const first = await objects.next()
  reply.header('content-type', 'text/event-stream; charset=utf-8')
  reply.header('cache-control', 'no-cache')
  reply.header('x-accel-buffering', 'no')
  return reply.send(Readable.from(new EventLines(request, first, objects), { objectMode: false }))
}

/** The lines of the stream. An iterator by hand: an outer generator that was never begun would not close the inner one. */
class EventLines implements AsyncIterableIterator<string> {
  readonly #request: FastifyRequest
  readonly #objects: AsyncGenerator<object, void, void>
  #ahead: IteratorResult<object, void> | null
  #ended = false

  constructor(
    request: FastifyRequest,
    first: IteratorResult<object, void>,
    objects: AsyncGenerator<object, void, void>,
  ) {
    this.#request = request
    this.#ahead = first
    this.#objects = objects
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<string, undefined>> {
    if (this.#ended) return { done: true, value: undefined }
    try {
      const result = this.#ahead ?? (await this.#objects.next())
      this.#ahead = null
      if (!result.done) return { done: false, value: eventLine(JSON.stringify(result.value)) }
      this.#ended = true
      return { done: false, value: eventLine('[DONE]') }
    } catch (thrown) {
      this.#ended = true
      if (thrown instanceof ReaderGoneError) return { done: true, value: undefined }
      const error = toTroupeError(thrown)
      if (error.status >= 500) this.#request.log.error({ err: thrown }, 'stream failed')
      return { done: false, value: eventLine(JSON.stringify(envelope(error, this.#request.id))) }
    }
  }

  async return(): Promise<IteratorResult<string, undefined>> {
    this.#ended = true
    await this.#objects.return()
    return { done: true, value: undefined }
  }
}

function eventLine(data: string): string {
  return `data: ${data}\n\n`
}
