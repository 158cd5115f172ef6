import { createHash } from 'node:crypto'
import { Type } from 'typebox'
import { TroupeError } from '../core/errors.ts'
import { isJsonObject, parseJsonObject } from '../core/json.ts'
import type { Log } from '../core/log.ts'
import { Shape } from '../core/shape.ts'
import type { Store } from './port.ts'
import type { Book } from './record.ts'
import { recordKey, recordNumber } from './record.ts'

const PREFIX = 'snapshots/'
/** The newest, and the one before in case it cannot be read. */
const KEPT = 2

const Header = new Shape(Type.Object({ n: Type.Integer({ minimum: 1 }), sha256: Type.String() }), 'snapshot')

/** A snapshot: what all books said after record `n`. The first line says so and has the hash of the second. */
function render(n: number, books: readonly Book[]): Uint8Array {
  const body = Buffer.from(JSON.stringify(Object.fromEntries(books.map((book) => [book.name, book.save()]))))
  const sha256 = createHash('sha256').update(body).digest('hex')
  return Buffer.concat([Buffer.from(`${JSON.stringify({ n, sha256 })}\n`), body])
}

/** @throws TroupeError `storage_error` */
function load(bytes: Uint8Array, books: readonly Book[]): void {
  const end = bytes.indexOf(0x0a)
  const head = Buffer.from(bytes.subarray(0, Math.max(0, end))).toString()
  const { sha256 } = Header.check(parseJsonObject(head, 'snapshot', 'storage_error'), 'storage_error')
  const body = bytes.subarray(end + 1)
  if (createHash('sha256').update(body).digest('hex') !== sha256)
    throw new TroupeError('storage_error', 'the snapshot was altered or cut off')
  const saved: unknown = JSON.parse(Buffer.from(body).toString())
  for (const book of books) book.load(isJsonObject(saved) ? saved[book.name] : undefined)
}

/** Writes what all books say after record `n` and removes older snapshots. @returns its size in bytes */
export async function writeSnapshot(store: Store, n: number, books: readonly Book[]): Promise<number> {
  const bytes = render(n, books)
  await store.put(snapshotKey(n), bytes)
  const keys = await store.list(PREFIX)
  for (const key of keys.slice(0, -KEPT)) await store.delete(key)
  return bytes.byteLength
}

/**
 * Gives the books the content of the newest snapshot that can be read; what cannot be is named.
 * @returns the number of its record and its size; 0 = there is none
 */
export async function readSnapshot(
  store: Store,
  books: readonly Book[],
  log: Log,
): Promise<{ readonly n: number; readonly bytes: number }> {
  for (const key of [...(await store.list(PREFIX))].reverse()) {
    const bytes = await store.get(key)
    // Another server wrote a newer one and removed it.
    if (bytes === null) return readSnapshot(store, books, log)
    try {
      load(bytes, books)
      return { n: recordNumber(key), bytes: bytes.byteLength }
    } catch (error) {
      log.warn(
        { err: error, snapshot: `${store.name}/${key}` },
        'a snapshot cannot be used; an older one or the whole journal is',
      )
    }
  }
  return { n: 0, bytes: 0 }
}

function snapshotKey(n: number): string {
  return recordKey(n).replace('journal/', PREFIX)
}
