import { rmSync } from 'node:fs'
import { scratchFolder } from './at-exit.ts'
import type { BucketServerKind } from './s3-server.ts'
import { BucketServer, noBuckets } from './s3-server.ts'

/** Where stores of tests and measurements are: folders of this machine, or a server of buckets. */
export interface Stores {
  readonly kind: 'folder' | BucketServerKind
  /** Location of a new, empty store. */
  create(): Promise<string>
  remove(location: string): void
  /** Ends what they need. */
  close(): void
}

export const FOLDERS: Stores = {
  kind: 'folder',
  create: () => Promise.resolve(scratchFolder('troupe-store-')),
  remove: (location) => rmSync(location, { recursive: true, force: true }),
  close: () => undefined,
}

/** Stores in buckets of a server that lives as long as they are needed. @throws Error where there can be no such server */
export async function openBuckets(kind: BucketServerKind): Promise<Stores> {
  const reason = noBuckets(kind)
  if (reason !== null) throw new Error(reason)
  const server = await BucketServer.start(kind)
  return { kind, create: () => server.newStore(), remove: () => undefined, close: () => server.stop() }
}
