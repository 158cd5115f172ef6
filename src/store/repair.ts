import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, TroupeError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import type { Store } from './port.ts'
import { newRecord, parseRecord, recordKey, recordNumber, renderRecord } from './record.ts'
import { LOST_RECORD } from './record-kinds.ts'
import { LEASE_MS, ServerLeases } from './server-leases.ts'
import { readSnapshot } from './snapshot.ts'

const WINDOW = 32
const LOOK_MS = 2_000
const PATIENCE_MS = LEASE_MS + 5_000

/** A record that cannot be read, or is not there though later ones are. */
export interface DamagedRecord {
  readonly n: number
  readonly key: string
  readonly reason: string
  /** What lies there; null = nothing. */
  readonly bytes: Uint8Array | null
  /** A snapshot has what it said: starts do not read it. */
  readonly isCovered: boolean
}

/** Every record that was altered, cut off or removed, by its number. Records that only a newer version knows are not damaged. @throws TroupeError `storage_error` */
export async function findDamage(store: Store, log: Log): Promise<readonly DamagedRecord[]> {
  const { n: covered } = await readSnapshot(store, [], log)
  const last = recordNumber((await store.list('journal/')).at(-1) ?? recordKey(0))
  const found: DamagedRecord[] = []
  for (let first = 1; first <= last; first += WINDOW) {
    const numbers = Array.from({ length: Math.min(WINDOW, last - first + 1) }, (_, index) => first + index)
    const records = await Promise.all(numbers.map((n) => store.get(recordKey(n))))
    for (const [index, bytes] of records.entries()) {
      const n = first + index
      const reason = faultOf(bytes, n)
      if (reason !== null) found.push({ n, key: recordKey(n), reason, bytes, isCovered: n <= covered })
    }
  }
  return found
}

/**
 * Puts what lies in a damaged record's place under `damaged/` and a record there that says so and changes nothing: then the journal goes on. What the record
 * said is lost, unless it can still be read by a person.
 *
 * @returns where the bytes are now; null = there were none
 * @throws TroupeError `conflict`, `storage_error`
 */
export async function setAside(store: Store, { n, key, reason, bytes }: DamagedRecord): Promise<string | null> {
  const kept = bytes === null ? null : `damaged/${key.replace('journal/', '')}-${randomUUID().slice(0, 8)}`
  if (kept !== null && bytes !== null) {
    await store.put(kept, bytes)
    const copy = await store.get(kept)
    if (copy === null || !Buffer.from(copy).equals(bytes))
      throw new TroupeError('storage_error', `${kept} was not stored`)
    await store.delete(key)
  }
  const record = newRecord(n, { type: LOST_RECORD, data: { reason, kept } }, { by: 'repair' }, 'repair')
  if (await store.put(key, renderRecord(record))) return kept
  throw new TroupeError('conflict', `${key} was changed by somebody else in the meantime: read it again`)
}

/**
 * Waits until no server uses the store: one that has not read a damaged record yet could take its place for free. One that was killed is silent for a minute
 * before it counts as gone.
 *
 * @param now milliseconds of a clock that never goes back
 * @throws TroupeError `conflict` naming servers that live
 */
export async function refuseWhileServed(
  store: Store,
  pause: () => Promise<void> = () => sleep(LOOK_MS),
  now: () => number = () => performance.now(),
): Promise<void> {
  const leases = new ServerLeases(store, { server: 'repair', host: hostname() }, () => 0, now)
  const until = now() + PATIENCE_MS
  for (;;) {
    const live = await leases.others()
    if (live.length === 0) return
    if (now() > until) {
      const names = live.map((lease) => lease?.server ?? 'an unknown one').join(', ')
      throw new TroupeError('conflict', `servers use ${store.name}: stop them first (${names})`)
    }
    await pause()
  }
}

function faultOf(bytes: Uint8Array | null, n: number): string | null {
  if (bytes === null) return 'the record is missing, though there are later ones'
  try {
    parseRecord(bytes, n)
    return null
  } catch (error) {
    return messageOf(error)
  }
}
