import { setMaxListeners } from 'node:events'
import { EventQueue } from '../engine/event-queue.ts'

type Item<T> = { readonly value: T } | { readonly ended: true } | { readonly error: unknown }

/** Starts one of several concurrent streams; it has to end soon after its signal aborts. */
export type Source<T> = (signal: AbortSignal) => AsyncIterable<T>

/**
 * Runs all sources at once and yields what they yield as it comes, each source's items in order.
 * When one fails, or the loop is left, or `signal` aborts, the others are aborted and waited for.
 */
export async function* merge<T>(sources: readonly Source<T>[], signal: AbortSignal): AsyncGenerator<T, void, void> {
  const controller = new AbortController()
  // Every source listens: many of them are no leak.
  setMaxListeners(0, controller.signal)
  const onAbort = (): void => controller.abort(signal.reason)
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort)

  const queue = new EventQueue<Item<T>>()
  const pumps = sources.map(async (source) => {
    try {
      for await (const value of source(controller.signal)) queue.push({ value })
      queue.push({ ended: true })
    } catch (error) {
      queue.push({ error })
    }
  })
  try {
    for (let open = sources.length; open > 0;) {
      const item = await queue.next()
      if ('value' in item) yield item.value
      else if ('error' in item) throw item.error
      else open -= 1
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    controller.abort(new Error('the request has ended'))
    await Promise.all(pumps)
  }
}
