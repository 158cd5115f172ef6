import { randomUUID } from 'node:crypto'
import { TroupeError } from '../core/errors.ts'
import type { Store } from './port.ts'

const WRITERS = 8

/**
 * Races the store against itself once: of several puts of one key exactly one may win, and its bytes must be what is read. Everything else is built on that.
 *
 * @throws TroupeError `storage_error` naming a store that lets two win; what the store throws where it cannot be written
 */
export async function checkPutIfAbsent(store: Store): Promise<void> {
  const key = `races/${randomUUID()}`
  const bodies = Array.from({ length: WRITERS }, (_, writer) => Buffer.from(`${writer} ${randomUUID()}`))
  try {
    const won = await Promise.all(bodies.map((body) => store.put(key, body)))
    const late = await store.put(key, Buffer.from('late'))
    const winners = bodies.filter((_, writer) => won[writer])
    const found = await store.get(key)
    // A client that repeats a request whose answer got lost is told that it lost: then nobody won, and one was stored.
    const stored = bodies.find((body) => found !== null && body.equals(found))
    const isSound =
      !late && stored !== undefined && (winners.length === 0 || (winners.length === 1 && winners[0] === stored))
    if (isSound) return
    const message =
      `${store.name} lets ${winners.length + (late ? 1 : 0)} writers of one key win, where exactly one may: it has no conditional writes ` +
      '(`If-None-Match: *`, on disks hard links) and cannot be a store'
    throw new TroupeError('storage_error', message, { param: store.name })
  } finally {
    await store.delete(key).catch(() => undefined)
  }
}
