import { TroupeError } from '../core/errors.ts'
import type { RegistryOptions, RegistryParts } from './assembly.ts'
import { bringIn, changeNotes, deletedVersion, retryVersion, versionOf } from './adapter-upkeep.ts'
import { adapterNotFound } from './catalogue.ts'
import { checkBooks, closeParts, openParts } from './parts-life.ts'
import type { Proof } from './proof.ts'
import { proofOf } from './proof.ts'
import type { AdapterPage, PageOptions } from './adapter-view.ts'
import { DEFAULT_DRAIN_SECONDS } from './drain-deadlines.ts'
import type { AddedVersion, Origin } from './intake.ts'
import { canSee } from './names.ts'
import type { VersionNotes } from './adapter-notes.ts'
import type { Claim } from './leases.ts'
import type { LoadPlan } from './load-plan.ts'
import { planLoad } from './load-plan.ts'
import type { MergeInput } from './merges.ts'
import { mergeInto } from './merges.ts'
import type { NotesInput } from './notes-book.ts'
import type { PendingUpload } from './pending-uploads.ts'
import type { AdapterRecord, Lease, Resolution, Target, TaskRecord, VersionRecord, VersionSource } from './records.ts'
import type { Deletion } from './removal.ts'
import { deleteAdapter, deleteVersion } from './removal.ts'
import { resolveTarget } from './resolve.ts'
import { collectStats } from './collect-stats.ts'
import type { RegistryStats } from './stats.ts'
import type { Staging } from './store/port.ts'
import type { TaskChange } from './task-book.ts'
import { taskNotFound } from './task-book.ts'
import { changeStamp } from './task-changes.ts'
import type { TaskInput } from './task-changes.ts'
import { Uploads } from './uploads.ts'

/** Adapters, their immutable versions, the tasks that route to them, and the leases of running requests. */
export class Registry {
  readonly #parts: RegistryParts
  readonly #uploads: Uploads
  readonly #random: () => number
  readonly #counts = { activations: 0, rollbacks: 0, deletions: 0 }
  #closing: Promise<void> | null = null

  private constructor(parts: RegistryParts, random: () => number) {
    this.#parts = parts
    this.#uploads = new Uploads(parts, () => this.#refuseIfClosing())
    this.#random = random
  }

  /** Opens a store and starts what runs by itself, see `openParts`. @throws TroupeError `storage_error`, `invalid_config` */
  static async open(options: RegistryOptions): Promise<Registry> {
    return new Registry(await openParts(options), options.random ?? Math.random)
  }

  /** Ends what is in progress and stops the threads. Leases may be released afterwards. Idempotent. */
  async close(): Promise<void> {
    this.#closing ??= closeParts(this.#parts)
    return this.#closing
  }

  /**
   * What a request runs with, from memory only. See `resolveTarget` for the rules.
   * @param tenant whose names are visible; `*` sees all
   */
  resolve(target: Target, tenant: string): Resolution {
    const { host, catalogue, tasks } = this.#parts
    return resolveTarget(
      { catalogue, tasks: tasks.all, baseName: host.info.name, random: this.#random },
      target,
      tenant,
    )
  }

  /** Keeps the versions of a request until it is released, also while it only waits for its turn. */
  claim(resolution: Resolution): Claim {
    return this.#parts.leases.claim(resolution)
  }

  /**
   * Takes a lease: the versions are loaded and stay until it is released. They are in use from the moment of the call.
   * @param wait false = `overloaded` at once instead of waiting for memory that others hold
   * @throws TroupeError `version_not_found`, `version_deleted`, `overloaded`, `digest_mismatch`, `storage_error`, `invalid_request` (never fits)
   */
  async acquire(resolution: Resolution, wait = true): Promise<Lease> {
    return this.#parts.leases.acquire(resolution, wait)
  }

  /** A folder for the files of an upload; pass it to `addVersion` or discard it. */
  async stageUpload(): Promise<Staging> {
    return this.#uploads.stage()
  }

  /** Shows an upload or merge among the adapter's versions, from its first byte on. */
  beginUpload(adapter: string, notes: VersionNotes = {}, source: VersionSource = 'upload'): PendingUpload {
    return this.#parts.uploads.begin(adapter, notes, source)
  }

  /** Merges stored versions into a staging folder, and says what was merged. @throws TroupeError as `mergeInto` in merges.ts */
  async mergeInto(staging: Staging, input: MergeInput, tenant: string): Promise<string> {
    this.#refuseIfClosing()
    return mergeInto(this.#parts, staging, input, tenant)
  }

  /** Changes what is said about an adapter, and whether it is pinned. @throws TroupeError `adapter_not_found`, `invalid_request` */
  async describeAdapter(name: string, input: NotesInput): Promise<AdapterRecord> {
    await this.#changeAdapter(name, () => changeNotes(this.#parts, name, input))
    return this.getAdapter(name, '*')
  }

  /** Changes what is said about a version. @throws TroupeError `adapter_not_found`, `version_not_found`, `invalid_request` */
  async describeVersion(name: string, version: number, notes: VersionNotes): Promise<VersionRecord> {
    const { digest } = versionOf(this.#parts, name, version)
    await this.#changeAdapter(name, () => this.#parts.notes.changeVersion(name, digest, notes))
    return versionOf(this.#parts, name, version)
  }

  /** What was found when a version was checked. @throws TroupeError `storage_error` */
  async proofOf(record: VersionRecord): Promise<Proof | null> {
    return proofOf(this.#parts.store, record)
  }

  /** Tries now to load a version whose loads failed. @throws TroupeError what the load fails with */
  async retryVersion(name: string, version: number): Promise<VersionRecord> {
    return retryVersion(this.#parts, name, version)
  }

  /** What it would take to have versions ready at once; nothing is done. @throws TroupeError as for a request that names them */
  async plan(
    items: readonly { readonly name: string; readonly version?: number }[],
    tenant: string,
  ): Promise<LoadPlan> {
    return planLoad({ ...this.#parts, rate: this.#parts.source.rate }, items, tenant)
  }

  /**
   * Makes the files of a folder in the store a version; they stay where they are.
   * @param within folder below the store that the path must lie in; '' = anywhere in it
   * @throws TroupeError `invalid_request` for a path outside, `not_found`, and as `addVersion`
   */
  async importFolder(name: string, path: string, within: string, by: string): Promise<AddedVersion> {
    return this.#uploads.importFolder(name, path, within, by)
  }

  /** A version that was deleted lately. */
  deletedVersion(name: string, version: number, tenant: string): VersionRecord | null {
    return canSee(name, tenant) ? deletedVersion(this.#parts, name, version) : null
  }

  /** Begins to load what a request will need, while it waits for its turn. Never fails. */
  prefetch(resolution: Resolution): void {
    this.#parts.prefetch.want(resolution.adapters.map(({ digest }) => digest))
  }

  /**
   * Reads, checks, probes and publishes what was staged. The staging is used up, whatever comes out.
   * @throws TroupeError as `Intake.add`
   */
  async addVersion(name: string, staging: Staging, origin: Origin): Promise<AddedVersion> {
    return this.#uploads.add(name, staging, origin)
  }

  /** A part of the listing, by name. */
  pageAdapters(tenant: string, options: PageOptions): AdapterPage {
    return this.#parts.view.page(tenant, options)
  }

  listAdapters(tenant: string): readonly AdapterRecord[] {
    return this.#parts.view.list(tenant)
  }

  /** @throws TroupeError `adapter_not_found` */
  getAdapter(name: string, tenant: string): AdapterRecord {
    const record = canSee(name, tenant) ? this.#parts.view.get(name) : null
    if (!record) throw adapterNotFound(name)
    return record
  }

  /** @throws TroupeError as `deleteAdapter` in removal.ts */
  async deleteAdapter(name: string, drainSeconds = DEFAULT_DRAIN_SECONDS): Promise<Deletion> {
    const deletion = await this.#changeAdapter(name, () => deleteAdapter(this.#parts, name, drainSeconds))
    this.#counts.deletions++
    await this.#parts.uploads.forget(name)
    return deletion
  }

  /** @throws TroupeError as `deleteVersion` in removal.ts */
  async deleteVersion(name: string, version: number, drainSeconds = DEFAULT_DRAIN_SECONDS): Promise<Deletion> {
    return this.#count(
      'deletions',
      this.#changeAdapter(name, () => deleteVersion(this.#parts, name, version, drainSeconds)),
    )
  }

  /**
   * Creates or changes a task; what the input leaves out stays as it is.
   * @param expectedRevision refuses the change with `conflict` if the task is at another revision; 0 = it must be new
   * @throws TroupeError `invalid_request`, `adapter_not_found`, `version_not_found`, `adapter_not_ready`, `conflict`, `storage_error`
   */
  async putTask(
    name: string,
    input: TaskInput,
    by: string,
    expectedRevision?: number,
  ): Promise<{ readonly task: TaskRecord; readonly created: boolean }> {
    return this.#changeTask(name, async () => {
      const put = await this.#parts.tasks.put(name, input, changeStamp(by), expectedRevision)
      bringIn(this.#parts, [put.task])
      return put
    })
  }

  /**
   * Sends all requests of a task to one version (the newest ready one if none is named) from now on; running ones are not touched.
   * @throws TroupeError `task_not_found` and as `putTask`
   */
  async activate(
    task: string,
    route: { readonly adapter: string; readonly version?: number },
    by: string,
  ): Promise<TaskChange> {
    const change = async (): Promise<TaskChange> => {
      const switched = await this.#parts.tasks.activate(task, route.adapter, route.version, changeStamp(by))
      bringIn(this.#parts, [switched.task])
      return switched
    }
    return this.#count('activations', this.#changeTask(task, change))
  }

  /** Returns to the routes before. @throws TroupeError `task_not_found`, `rollback_empty`, `conflict`, `storage_error` */
  async rollback(task: string, by: string): Promise<TaskChange> {
    return this.#count(
      'rollbacks',
      this.#changeTask(task, async () => {
        const switched = await this.#parts.tasks.rollback(task, changeStamp(by))
        bringIn(this.#parts, [switched.task])
        return switched
      }),
    )
  }

  listTasks(tenant: string): readonly TaskRecord[] {
    const visible = [...this.#parts.tasks.all.values()].filter(({ name }) => canSee(name, tenant))
    return visible.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** @throws TroupeError `task_not_found` */
  getTask(name: string, tenant: string): TaskRecord {
    const task = canSee(name, tenant) ? this.#parts.tasks.all.get(name) : undefined
    if (!task) throw taskNotFound(name)
    return task
  }

  /** @throws TroupeError `task_not_found`, `storage_error` */
  async deleteTask(name: string): Promise<void> {
    await this.#changeTask(name, () => this.#parts.tasks.delete(name))
    this.#parts.pins.follow()
  }

  /** Looks at the store now instead of at the next interval, and imports what was dropped and came to rest. */
  async scan(): Promise<void> {
    await this.#parts.watch.scan()
  }

  stats(): RegistryStats {
    return collectStats(this.#parts, { ...this.#counts, ...this.#uploads.counts })
  }

  /** Throws if the books of memory, leases and catalogue do not agree. */
  checkIntegrity(): void {
    checkBooks(this.#parts)
  }

  #changeAdapter<T>(name: string, job: () => Promise<T>): Promise<T> {
    this.#refuseIfClosing()
    return this.#parts.changes.run(`adapter ${name}`, job)
  }

  #changeTask<T>(name: string, job: () => Promise<T>): Promise<T> {
    this.#refuseIfClosing()
    return this.#parts.changes.run(`task ${name}`, job)
  }

  async #count<T>(counter: 'activations' | 'rollbacks' | 'deletions', done: Promise<T>): Promise<T> {
    const result = await done
    this.#counts[counter]++
    return result
  }

  #refuseIfClosing(): void {
    if (this.#closing) throw new TroupeError('not_ready', 'the server is stopping')
  }
}
