import { TroupeError } from '../core/errors.ts'
import type { Catalogue } from './catalogue.ts'
import { adapterNotFound } from './catalogue.ts'
import type { DrainDeadlines } from './drain-deadlines.ts'
import { DEFAULT_DRAIN_SECONDS, MAX_DRAIN_SECONDS } from './drain-deadlines.ts'
import type { Draining } from './draining.ts'
import type { Leases } from './leases.ts'
import type { Log } from './log.ts'
import type { MemoryTier } from './memory-tier.ts'
import { checkName } from './names.ts'
import type { PendingUploads } from './pending-uploads.ts'
import type { Pins } from './pins.ts'
import type { VersionRecord } from './records.ts'
import type { RegistryStore, Trashed } from './store/port.ts'
import type { TaskBook } from './task-book.ts'

/** `draining`: it is deleted for all new requests; running ones keep its bytes until they end, or until the deadline ends them. */
export type Deletion =
  | { readonly status: 'deleted' }
  /** `deadline` is an ISO time. */
  | { readonly status: 'draining'; readonly deadline: string; readonly holders: number }

export interface RemovalParts {
  readonly store: RegistryStore
  readonly catalogue: Catalogue
  readonly tasks: TaskBook
  readonly tier: MemoryTier
  readonly draining: Draining
  readonly leases: Leases
  readonly deadlines: DrainDeadlines
  readonly pins: Pins
  readonly uploads: PendingUploads
  readonly log: Log
}

/**
 * Deletes one version.
 * @param drainSeconds how long requests in flight may keep it; 0 = refuse when there are any
 * @throws TroupeError `adapter_in_use` naming the tasks that route to it or the number of requests in flight, `invalid_request`, `adapter_not_found`, `version_not_found`, `storage_error`
 */
export async function deleteVersion(
  parts: RemovalParts,
  name: string,
  version: number,
  drainSeconds: number,
): Promise<Deletion> {
  const { store, catalogue, tasks } = parts
  if (!catalogue.get(name)) throw adapterNotFound(name)
  const record = catalogue.byNumber(name, version)
  if (!record) throw new TroupeError('version_not_found', `adapter "${name}" has no version v${version}`)
  refuseRouted(`${name}@v${version}`, tasks.routingTo(name, version))
  refuseHeld(parts, `${name}@v${version}`, [record], drainSeconds)
  const trashed = await store.deleteVersion(name, record.digest)
  catalogue.removeVersion(name, record.digest)
  return letGo(parts, [record], trashed, drainSeconds)
}

/**
 * Deletes an adapter with all its versions and everything dropped into its folder.
 * @param drainSeconds as for `deleteVersion`
 * @throws TroupeError as `deleteVersion`
 */
export async function deleteAdapter(parts: RemovalParts, name: string, drainSeconds: number): Promise<Deletion> {
  const { store, catalogue, tasks, uploads } = parts
  checkName(name, 'adapter')
  // An owner's folder is no adapter, whatever lies in it.
  if (catalogue.isOwner(name)) throw adapterNotFound(name)
  refuseRouted(name, tasks.routingTo(name, null))
  const versions = catalogue.get(name)?.versions ?? []
  refuseHeld(parts, name, versions, drainSeconds)
  const trashed = await store.deleteAdapter(name).catch((error: unknown) => {
    // All there is of it are refused uploads: those are forgotten by whoever called.
    if (error instanceof TroupeError && error.code === 'adapter_not_found' && uploads.hasRejected(name)) return null
    throw error
  })
  if (!trashed) return { status: 'deleted' }
  catalogue.removeAdapter(name)
  return letGo(parts, versions, trashed, drainSeconds)
}

function refuseRouted(what: string, tasks: readonly string[]): void {
  if (tasks.length === 0) return
  const names = tasks.slice(0, 10).map((name) => `"${name}"`)
  const message = `${what} cannot be deleted, requests go to it from ${tasks.length === 1 ? 'task' : 'tasks'} ${names.join(', ')}`
  throw new TroupeError('adapter_in_use', `${message}: activate another version there first`)
}

function refuseHeld(
  { leases }: RemovalParts,
  what: string,
  versions: readonly VersionRecord[],
  drainSeconds: number,
): void {
  if (!Number.isFinite(drainSeconds) || drainSeconds < 0 || drainSeconds > MAX_DRAIN_SECONDS) {
    const message = `drain_seconds must be from 0 to ${MAX_DRAIN_SECONDS}`
    throw new TroupeError('invalid_request', message, { param: 'drain_seconds' })
  }
  const holders = drainSeconds === 0 ? holdersOf(leases, versions) : 0
  if (holders === 0) return
  const message = `${what} cannot be deleted without draining: ${holders} ${holders === 1 ? 'request uses' : 'requests use'} it`
  throw new TroupeError('adapter_in_use', `${message}; give them time with drain_seconds, or repeat later`)
}

function holdersOf(leases: Leases, versions: readonly VersionRecord[]): number {
  return versions.reduce((sum, version) => sum + leases.holders(version), 0)
}

function letGo(
  parts: RemovalParts,
  versions: readonly VersionRecord[],
  trashed: Trashed,
  drainSeconds: number,
): Deletion {
  const { catalogue, tier, draining, leases, deadlines, pins, uploads, log } = parts
  for (const { digest } of versions) if (catalogue.adaptersOf(digest).length === 0) pins.release(digest)
  uploads.noteDeleted(versions)
  const inUse = versions.filter(({ digest }) => tier.uses(digest) > 0)
  draining.add(inUse, trashed)
  for (const { digest, adapter, version } of versions) {
    if (catalogue.adaptersOf(digest).length === 0) tier.forget(digest)
    log.info({ adapter, version, digest, draining: tier.uses(digest) > 0 }, 'version deleted')
  }
  if (inUse.length === 0) return { status: 'deleted' }
  // Whoever came while a deletion without draining was carried out was let in rightly: it gets the usual time.
  const deadline = deadlines.set(inUse, drainSeconds === 0 ? DEFAULT_DRAIN_SECONDS : drainSeconds)
  return { status: 'draining', deadline, holders: holdersOf(leases, inUse) }
}
