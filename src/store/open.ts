import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createHash } from 'node:crypto'
import { TroupeError } from '../core/errors.ts'
import type { BlobId, LocalBlobs } from './blobs.ts'
import { blobPrefix } from './blobs.ts'
import { FilesystemStore } from './filesystem/filesystem-store.ts'
import { WorkFolder } from './filesystem/work-folder.ts'
import { checkFormat } from './format.ts'
import type { Store } from './port.ts'
import { checkPutIfAbsent } from './race-check.ts'

/** A store with what belongs to it on this machine. */
export interface OpenStore {
  readonly store: Store
  readonly blobs: LocalBlobs
  /** For uploads in progress. */
  readonly work: WorkFolder
  /** The store as a folder of this machine, into which people may put something; null = it is none. */
  readonly folder: string | null
}

export interface StoreOptions {
  /** A path, or `s3://bucket/prefix`. */
  readonly location: string
  /** Folder for what is kept of a bucket on this machine. */
  readonly cacheDir: string
  readonly cacheBytes: number
}

export function isBucket(location: string): boolean {
  return location.startsWith('s3://')
}

/**
 * Opens a store, makes it where there is none, and sees that it can be one.
 *
 * @throws TroupeError `invalid_config`, `storage_error` naming what is wrong with it
 */
export async function openStore({ location, cacheDir, cacheBytes }: StoreOptions): Promise<OpenStore> {
  if (isBucket(location)) {
    // The client of buckets takes time to load, and nobody else needs it.
    const [{ S3Store }, { BlobCache }] = await Promise.all([import('./s3/s3-store.ts'), import('./s3/blob-cache.ts')])
    const store = new S3Store(location)
    await checkStore(store)
    const dir = join(cacheDir, createHash('sha256').update(location).digest('hex').slice(0, 16))
    const work = await WorkFolder.open(join(dir, 'staging'))
    return { store, blobs: await BlobCache.open(store, join(dir, 'blobs'), cacheBytes, work), work, folder: null }
  }
  refuseFormatOne(location)
  const store = await FilesystemStore.open(location)
  await checkStore(store)
  const blobs: LocalBlobs = {
    folder: (id: BlobId) => Promise.resolve(join(location, blobPrefix(id))),
    discard: () => Promise.resolve(false),
  }
  return { store, blobs, work: store.work, folder: location }
}

async function checkStore(store: Store): Promise<void> {
  await checkFormat(store)
  await checkPutIfAbsent(store)
}

function refuseFormatOne(folder: string): void {
  if (existsSync(join(folder, 'format.json')) || !existsSync(join(folder, 'adapters'))) return
  const message = `${folder} is a store of an earlier version of troupe: \`troupe store migrate ${folder}\` brings it to the present format`
  throw new TroupeError('storage_error', message, { param: folder })
}
