import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Pace } from '../../src/app/rooms.ts'
import type { Rooms } from '../../src/app/rooms.ts'
import { blobPrefix, listBlobs } from '../../src/store/blobs.ts'
import type { OpenStore } from '../../src/store/open.ts'
import { openStore } from '../../src/store/open.ts'

/** Who changes things in tests. */
export const ME = { by: 'me' }

/** Nothing is looked at by itself, and what is dropped is taken at the second look. */
export const STILL: Pace = { followMs: 3_600_000, inboxRestMs: 0 }

export const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** A store by its location: a folder, or a bucket with its copies in `cacheDir`. */
export async function openLocation(
  location: string,
  cacheDir = join(tmpdir(), 'troupe-test-cache'),
): Promise<OpenStore> {
  return openStore({ location, cacheDir, cacheBytes: 2 ** 30 })
}

/** Where the files of a version lie in a store that is a folder. */
export function filesOf({ catalogue }: Pick<Rooms, 'catalogue'>, storeDir: string, name: string, version = 1): string {
  return join(storeDir, blobPrefix(catalogue.state.byNumber(name, version)!))
}

/** Where the files of all blobs in a store that is a folder lie, whether something names them or not. */
export async function blobFolders(storeDir: string): Promise<readonly string[]> {
  const { store } = await openLocation(storeDir)
  return [...(await listBlobs(store)).keys()].map((prefix) => join(storeDir, prefix))
}
