import { TroupeError } from '../core/errors.ts'
import type { Catalogue } from './catalogue.ts'
import { adapterNotFound } from './catalogue.ts'
import type { Draining } from './draining.ts'
import type { Log } from './log.ts'
import type { MemoryTier } from './memory-tier.ts'
import { checkName } from './names.ts'
import type { VersionRecord } from './records.ts'
import type { RegistryStore, Trashed } from './store/port.ts'
import type { TaskBook } from './task-book.ts'

/** `draining`: it is deleted for all new requests, running ones keep its bytes until they end. */
export type Deletion = 'deleted' | 'draining'

export interface RemovalParts {
  readonly store: RegistryStore
  readonly catalogue: Catalogue
  readonly tasks: TaskBook
  readonly tier: MemoryTier
  readonly draining: Draining
  readonly log: Log
}

/**
 * Deletes one version.
 * @throws TroupeError `adapter_in_use` naming the tasks that route to it, `adapter_not_found`, `version_not_found`, `storage_error`
 */
export async function deleteVersion(parts: RemovalParts, name: string, version: number): Promise<Deletion> {
  const { store, catalogue, tasks } = parts
  if (!catalogue.get(name)) throw adapterNotFound(name)
  const record = catalogue.byNumber(name, version)
  if (!record) throw new TroupeError('version_not_found', `adapter "${name}" has no version v${version}`)
  refuseRouted(`${name}@v${version}`, tasks.routingTo(name, version))
  const trashed = await store.deleteVersion(name, record.digest)
  catalogue.removeVersion(name, record.digest)
  return letGo(parts, [record], trashed)
}

/**
 * Deletes an adapter with all its versions and everything dropped into its folder.
 * @throws TroupeError `adapter_in_use` naming the tasks that route to it, `adapter_not_found`, `storage_error`
 */
export async function deleteAdapter(parts: RemovalParts, name: string): Promise<Deletion> {
  const { store, catalogue, tasks } = parts
  checkName(name, 'adapter')
  // An owner's folder is no adapter, whatever lies in it.
  if (catalogue.isOwner(name)) throw adapterNotFound(name)
  refuseRouted(name, tasks.routingTo(name, null))
  const versions = catalogue.get(name)?.versions ?? []
  const trashed = await store.deleteAdapter(name)
  catalogue.removeAdapter(name)
  return letGo(parts, versions, trashed)
}

function refuseRouted(what: string, tasks: readonly string[]): void {
  if (tasks.length === 0) return
  const names = tasks.slice(0, 10).map((name) => `"${name}"`)
  const message = `${what} cannot be deleted, requests go to it from ${tasks.length === 1 ? 'task' : 'tasks'} ${names.join(', ')}`
  throw new TroupeError('adapter_in_use', `${message}: activate another version there first`)
}

function letGo(parts: RemovalParts, versions: readonly VersionRecord[], trashed: Trashed): Deletion {
  const { catalogue, tier, draining, log } = parts
  const inUse = versions.filter(({ digest }) => tier.uses(digest) > 0)
  draining.add(inUse, trashed)
  for (const { digest, adapter, version } of versions) {
    if (catalogue.adaptersOf(digest).length === 0) tier.forget(digest)
    log.info({ adapter, version, digest, draining: tier.uses(digest) > 0 }, 'version deleted')
  }
  return inUse.length > 0 ? 'draining' : 'deleted'
}
