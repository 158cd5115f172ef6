import type { AdapterHost } from '../engine/engine.ts'
import { mergeAdapters } from '../adapters/merge.ts'
import { siteNorms } from '../adapters/site-norms.ts'
import { AdapterView } from './adapter-view.ts'
import { Catalogue } from './catalogue.ts'
import { Changes } from './changes.ts'
import { DrainDeadlines } from './drain-deadlines.ts'
import { Draining } from './draining.ts'
import { DroppedFolders } from './dropped-folders.ts'
import { Intake } from './intake.ts'
import { Leases } from './leases.ts'
import { Loader } from './loader.ts'
import type { AdapterMerger, AdapterReader, NormReader } from './loader-messages.ts'
import type { Log } from './log.ts'
import { MemoryTier } from './memory-tier.ts'
import { MergedCheck } from './merged-check.ts'
import type { ReferencePort } from './merged-check.ts'
import type { VersionRecord } from './records.ts'
import { NotesBook } from './notes-book.ts'
import { PendingUploads } from './pending-uploads.ts'
import { pinnedDigests } from './pinned-digests.ts'
import { Pins } from './pins.ts'
import { Prefetch } from './prefetch.ts'
import type { RemovalParts } from './removal.ts'
import type { RegistryStore } from './store/port.ts'
import { StoreFollower } from './store-follower.ts'
import { StoreWatch } from './store-watch.ts'
import { TaskBook } from './task-book.ts'
import { WeightsSource } from './weights-source.ts'

export interface RegistryOptions {
  readonly storeDir: string
  readonly host: AdapterHost
  /** Budget of the memory tier. */
  readonly memoryBytes: number
  readonly log: Log
  /** Uniform in [0, 1); chooses among the routes of a task. */
  readonly random?: () => number
  /** Reads adapter folders: a function, or a thread that is told where the base model lies. The thread merges too. */
  readonly reader: AdapterReader | { readonly modelDir: string }
  /** What new versions are compared with, or why nothing; closed with the registry. */
  readonly reference?: ReferencePort | { readonly off: string }
  /** Names of the base model that adapters may give; left out = any. */
  readonly baseNames?: readonly string[]
  readonly scanIntervalMs?: number
  /** How long the files of a dropped folder must rest before it is taken. */
  readonly dropStableMs?: number
  /** How long a request waits for adapter memory. */
  readonly memoryWaitMs?: number
}

export interface RegistryParts extends RemovalParts {
  readonly storeDir: string
  readonly host: AdapterHost
  /** Null when the reader was given from outside. */
  readonly loader: Loader | null
  readonly intake: Intake
  readonly merged: MergedCheck
  readonly dropped: DroppedFolders
  readonly follower: StoreFollower
  readonly view: AdapterView
  readonly changes: Changes
  readonly merge: AdapterMerger
  readonly watch: StoreWatch
  readonly notes: NotesBook
  readonly source: WeightsSource
  readonly prefetch: Prefetch
  /** Stored and draining versions. */
  readonly recordOf: (digest: string) => VersionRecord | null
}

/** Builds what the registry consists of and connects it. Reads nothing yet. */
export function assembleRegistry(options: RegistryOptions, store: RegistryStore): RegistryParts {
  const { host, log } = options
  const { reader } = options
  const loader = typeof reader === 'function' ? null : new Loader({ info: host.info, modelDir: reader.modelDir })
  const read: AdapterReader =
    typeof reader === 'function' ? reader : (dir, memory) => (loader as Loader).read(dir, memory)
  const measure: NormReader = (weights) => loader?.measure(weights) ?? siteNorms(weights)
  const merge: AdapterMerger = async (job) => (loader ? loader.merge(job) : mergeAdapters(job))
  const catalogue = new Catalogue(host.info.fingerprint)
  const tasks = new TaskBook(store, catalogue)
  const draining = new Draining(log)
  const changes = new Changes()

  const recordOf = (digest: string): VersionRecord | null => {
    const adapter = catalogue.adaptersOf(digest)[0]
    return adapter === undefined ? draining.record(digest) : catalogue.byDigest(adapter, digest)
  }
  const folderOf = (digest: string): string | null => {
    const adapter = catalogue.adaptersOf(digest)[0]
    return adapter === undefined ? draining.folderOf(digest) : store.versionFolder(adapter, digest)
  }
  const tier = new MemoryTier({
    budgetBytes: options.memoryBytes,
    host,
    onIdle: (digest) => {
      draining.onIdle(digest)
      if (catalogue.adaptersOf(digest).length === 0) tier.forget(digest)
    },
    ...(options.memoryWaitMs === undefined ? {} : { waitMs: options.memoryWaitMs }),
  })
  // Another process deleted a version: requests that have it keep it, and its files are not ours to remove.
  const onGone = (version: VersionRecord): void => {
    const folder = store.versionFolder(version.adapter, version.digest)
    pins.release(version.digest)
    if (tier.uses(version.digest) === 0) tier.forget(version.digest)
    else draining.add([version], { folderOf: () => folder, remove: () => Promise.resolve() })
  }

  const source = new WeightsSource(read, folderOf, () => changes.idle())
  const leases = new Leases(tier, source, recordOf)
  const notes = new NotesBook(store)
  const prefetch = new Prefetch(tier, leases, log)
  const wanted = (): readonly string[] => pinnedDigests(catalogue, tasks, notes)
  const pins = new Pins({ tier, leases, log, wanted })
  const uploads = new PendingUploads({ store, changes, log })
  const deadlines = new DrainDeadlines(leases)
  const follower = new StoreFollower({
    store,
    catalogue,
    tasks,
    notes,
    uploads,
    changes,
    log,
    onGone,
    onFollowed: () => pins.follow(),
  })
  const merged = new MergedCheck(options.reference ?? { off: 'this process has no reference' })
  const onRepaired = (digest: string): void => source.failures.forget(digest)
  const intake = new Intake({
    store,
    catalogue,
    tier,
    host,
    read,
    measure,
    merged,
    baseNames: options.baseNames ?? null,
    changes,
    log,
    onRepaired,
  })
  const dropped = new DroppedFolders(store, intake, log, options.dropStableMs ?? 1_000)
  const view = new AdapterView({ catalogue, draining, dropped, follower, notes, uploads, failures: source.failures })
  const watch = new StoreWatch(follower, dropped, options.scanIntervalMs ?? 1_000)
  return {
    storeDir: options.storeDir,
    store,
    catalogue,
    tasks,
    tier,
    draining,
    log,
    host,
    loader,
    leases,
    deadlines,
    notes,
    prefetch,
    recordOf,
    pins,
    uploads,
    source,
    intake,
    merged,
    dropped,
    follower,
    view,
    changes,
    merge,
    watch,
  }
}
