import { TroupeError } from '../core/errors.ts'
import type { BlobId } from '../store/blobs.ts'
import { blobPrefix } from '../store/blobs.ts'
import { canSee, ownerOf } from './names.ts'
import type { TaskRecord } from './task.ts'
import type { Notes, Refusal, Version } from './version.ts'

/** An adapter as the journal says: a line of versions, and what people say about it. */
export interface Adapter extends Notes {
  readonly name: string
  readonly pinned: boolean
  /** Tenants beside the owner that see and use it; `*` = all. */
  readonly sharedWith?: readonly string[]
  /** Ascending by number; never empty. */
  readonly versions: readonly Version[]
  /** The last number that was given. */
  readonly last: number
}

/** A blob that nothing names any more and nothing ever will again: its bytes go once no server uses them. */
export interface Condemned {
  readonly id: BlobId
  /** Number of the record that condemned it. */
  readonly n: number
  /** No version ever named it. Its writer may still try to: it is remembered after its bytes went. */
  readonly orphan: boolean
}

/** Refusals and deleted versions that are remembered; older ones are forgotten. */
const MAX_REMEMBERED = 100

/** What the journal says about adapters and tasks, with the indexes to find it. Objects in it are replaced and never changed: who has one may keep it. */
export class CatalogueState {
  readonly adapters = new Map<string, Adapter>()
  readonly tasks = new Map<string, TaskRecord>()
  /** Last number of names that have no version now. */
  readonly lastNumbers = new Map<string, number>()
  readonly condemned = new Map<string, Condemned>()
  refusals: readonly Refusal[] = []
  /** Lately deleted versions. */
  deleted: readonly Version[] = []
  /** Adapters that have a digest; nearly always one, and then without a list around it. */
  readonly #adaptersByDigest = new Map<string, string | readonly string[]>()
  readonly #namesByOwner = new Map<string, number>()
  /** Blobs that something else than a version names, and how often. */
  readonly #heldBlobs = new Map<string, number>()

  /** Adapters that have this version; empty = it is not in the store. */
  adaptersOf(digest: string): readonly string[] {
    const adapters = this.#adaptersByDigest.get(digest) ?? []
    return typeof adapters === 'string' ? [adapters] : adapters
  }

  byDigest(name: string, digest: string): Version | null {
    return this.adapters.get(name)?.versions.find((version) => version.digest === digest) ?? null
  }

  byNumber(name: string, number: number): Version | null {
    return this.adapters.get(name)?.versions.find(({ version }) => version === number) ?? null
  }

  /** Whether a version has its files in this blob, or something else holds it. */
  isNamed(id: BlobId): boolean {
    return (
      this.#heldBlobs.has(blobPrefix(id)) ||
      this.adaptersOf(id.digest).some((name) => this.byDigest(name, id.digest)?.blob === id.blob)
    )
  }

  isCondemned(id: BlobId): boolean {
    return this.condemned.has(blobPrefix(id))
  }

  /** Whether the tenant sees an adapter of this name, or would if there were one; `*` sees everything. */
  isAdapterVisible(name: string, tenant: string): boolean {
    return canSee(name, tenant, this.adapters.get(name)?.sharedWith)
  }

  /** The same of a task. */
  isTaskVisible(name: string, tenant: string): boolean {
    return canSee(name, tenant, this.tasks.get(name)?.sharedWith)
  }

  /** How many adapters and tasks a tenant owns. */
  ownedBy(tenant: string): number {
    const tasks = [...this.tasks.keys()].filter((name) => ownerOf(name) === tenant)
    return (this.#namesByOwner.get(tenant) ?? 0) + tasks.length
  }

  /** Whether some adapter is called `owner/…`. */
  isOwner(owner: string): boolean {
    return this.#namesByOwner.has(owner)
  }

  lastNumber(name: string): number {
    return this.adapters.get(name)?.last ?? this.lastNumbers.get(name) ?? 0
  }

  /** Tasks that send requests, or a shadow's sample of them, to one of these versions; null = to any version of the adapter. */
  tasksTo(adapter: string, version: number | null): string[] {
    const isMeant = (route: { readonly adapter: string; readonly version: number }): boolean =>
      route.adapter === adapter && (version === null || route.version === version)
    const named = [...this.tasks.values()].filter(
      ({ routes, shadow }) => routes.some(isMeant) || (shadow !== null && isMeant(shadow)),
    )
    return named.map(({ name }) => name)
  }

  /** Replaces what is known of an adapter; without versions it is gone, and only its last number stays. */
  setAdapter(adapter: Adapter): void {
    const { name, versions, last } = adapter
    const former = this.adapters.get(name)
    for (const { digest } of former?.versions ?? []) this.#unlinkDigest(digest, name)
    if (versions.length === 0) {
      this.lastNumbers.set(name, last)
      if (former && this.adapters.delete(name)) this.#countOwned(name, -1)
      return
    }
    this.lastNumbers.delete(name)
    if (!former) this.#countOwned(name, 1)
    for (const { digest } of versions) {
      const others = this.adaptersOf(digest)
      this.#adaptersByDigest.set(digest, others.length === 0 ? name : [...others, name])
    }
    this.adapters.set(name, adapter)
  }

  /** Something that is no version names a blob. */
  holdBlob(id: BlobId): void {
    const key = blobPrefix(id)
    this.#heldBlobs.set(key, (this.#heldBlobs.get(key) ?? 0) + 1)
  }

  /** Takes back one `holdBlob`; the last one condemns the blob. @param n number of the record that says so */
  letBlobGo(id: BlobId, n: number): void {
    const key = blobPrefix(id)
    const others = (this.#heldBlobs.get(key) ?? 1) - 1
    if (others > 0) this.#heldBlobs.set(key, others)
    else {
      this.#heldBlobs.delete(key)
      this.condemn(id, n, false)
    }
  }

  /** Takes note that nothing names a blob any more. */
  condemn(id: BlobId, n: number, orphan: boolean): void {
    this.condemned.set(blobPrefix(id), { id, n, orphan })
  }

  rememberDeleted(versions: readonly Version[]): void {
    this.deleted = [...this.deleted, ...versions].slice(-Math.max(MAX_REMEMBERED, versions.length))
  }

  rememberRefusal(refusal: Refusal): void {
    this.refusals = [...this.refusals, refusal].slice(-MAX_REMEMBERED)
  }

  /** What was refused of an adapter is of no interest any more. */
  forgetRefusals(adapter: string): void {
    if (this.refusals.some((refusal) => refusal.adapter === adapter))
      this.refusals = this.refusals.filter((refusal) => refusal.adapter !== adapter)
  }

  #unlinkDigest(digest: string, name: string): void {
    const others = this.adaptersOf(digest).filter((other) => other !== name)
    const [only] = others
    if (only !== undefined) this.#adaptersByDigest.set(digest, others.length === 1 ? only : others)
    else this.#adaptersByDigest.delete(digest)
  }

  #countOwned(name: string, change: 1 | -1): void {
    const owner = ownerOf(name)
    if (owner === null) return
    const count = (this.#namesByOwner.get(owner) ?? 0) + change
    if (count > 0) this.#namesByOwner.set(owner, count)
    else this.#namesByOwner.delete(owner)
  }
}

export function adapterNotFound(name: string): TroupeError {
  return new TroupeError('adapter_not_found', `there is no adapter "${name}"`)
}

/** @throws TroupeError `adapter_not_found` */
export function mustHaveAdapter(state: CatalogueState, name: string): Adapter {
  const adapter = state.adapters.get(name)
  if (!adapter) throw adapterNotFound(name)
  return adapter
}

/** @throws TroupeError `adapter_not_found`, `version_not_found` */
export function mustHave(state: CatalogueState, name: string, number: number): Version {
  const { versions } = mustHaveAdapter(state, name)
  const found = versions.find(({ version }) => version === number)
  if (found) return found
  throw new TroupeError('version_not_found', `adapter "${name}" has no version v${number}`)
}

export function conflict(message: string): TroupeError {
  return new TroupeError('conflict', message)
}
