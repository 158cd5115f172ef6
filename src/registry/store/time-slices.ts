import { setImmediate as nextTurn } from 'node:timers/promises'

const SLICE_MS = 4

/**
 * Visits items with blocking calls, a few milliseconds at a time, so that requests run in between. For thousands of small files this
 * costs a fifth of what the asynchronous calls do, each of which goes through the thread pool.
 */
export async function visitInSlices<T>(items: Iterable<T>, visit: (item: T) => void): Promise<void> {
  let sliceEnd = performance.now() + SLICE_MS
  for (const item of items) {
    visit(item)
    if (performance.now() < sliceEnd) continue
    await nextTurn()
    sliceEnd = performance.now() + SLICE_MS
  }
}
