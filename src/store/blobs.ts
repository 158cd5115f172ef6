import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Store } from './port.ts'

const PREFIX = 'blobs/'

/** The files of one version: they come before the record that names them and never change. No blob is ever put again under the id of another one. */
export interface BlobId {
  /** `sha256:<hex>` of the version. */
  readonly digest: string
  /** Tells blobs of one digest apart, and begins with the time it was made at. */
  readonly blob: string
}

/** Where the files of blobs are on this machine. */
export interface LocalBlobs {
  /** A folder with the files of a blob. It may go at any time. @throws TroupeError `storage_error`, `version_not_found` */
  folder(id: BlobId): Promise<string>
  /** What lies there is not what it should be. @returns whether there may be something better */
  discard(id: BlobId): Promise<boolean>
}

/** A new id for the files of a digest. */
export function newBlob(digest: string, now: number): BlobId {
  return { digest, blob: `${now.toString(36)}-${randomBytes(6).toString('hex')}` }
}

/** When a blob was made, in milliseconds since 1970. */
export function madeAt({ blob }: BlobId): number {
  return Number.parseInt(blob.split('-')[0] ?? '', 36)
}

/** Where the files of a blob begin. */
export function blobPrefix({ digest, blob }: BlobId): string {
  return `${PREFIX}${digest.slice('sha256:'.length)}/${blob}/`
}

/** Stores the files of a blob; nothing names it yet. */
export async function putBlob(store: Store, id: BlobId, dir: string, names: readonly string[]): Promise<void> {
  for (const name of names) await store.put(blobPrefix(id) + name, { file: join(dir, name) })
}

/** One small file of a blob; null = it is not there. */
export async function readBlobFile(store: Store, id: BlobId, name: string): Promise<Uint8Array | null> {
  return store.get(blobPrefix(id) + name)
}

/** All blobs in a store, with the keys of their files. */
export async function listBlobs(
  store: Store,
): Promise<ReadonlyMap<string, { readonly id: BlobId; readonly keys: readonly string[] }>> {
  const blobs = new Map<string, { id: BlobId; keys: string[] }>()
  for (const key of await store.list(PREFIX)) {
    const [, hex, blob] = key.split('/')
    if (hex === undefined || blob === undefined) continue
    const id = { digest: `sha256:${hex}`, blob }
    const known = blobs.get(blobPrefix(id)) ?? { id, keys: [] }
    known.keys.push(key)
    blobs.set(blobPrefix(id), known)
  }
  return blobs
}

/** Removes the files of a blob, as far as they are there. */
export async function deleteBlob(store: Store, id: BlobId): Promise<void> {
  for (const key of await store.list(blobPrefix(id))) await store.delete(key)
}
