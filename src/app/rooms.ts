import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { Catalogue } from '../catalogue/catalogue.ts'
import { Changes } from '../catalogue/changes.ts'
import { Collector } from '../catalogue/collector.ts'
import type { Log } from '../core/log.ts'
import type { AdapterHost } from '../engine/engine.ts'
import { Evaluations } from '../evaluation/evaluations.ts'
import { checkGate } from '../evaluation/gate.ts'
import type { EvaluationHost } from '../evaluation/runs.ts'
import { Inbox } from '../intake/inbox.ts'
import { Intake } from '../intake/intake.ts'
import type { ReferencePort } from '../intake/merged-check.ts'
import { MergedCheck } from '../intake/merged-check.ts'
import { Prover } from '../intake/prover.ts'
import type { AdapterReader } from '../residency/loader-messages.ts'
import type { Readers } from '../residency/readers.ts'
import { openReaders } from '../residency/readers.ts'
import type { ResidencyStats } from '../residency/residency.ts'
import { Residency } from '../residency/residency.ts'
import { Journal } from '../store/journal.ts'
import type { OpenStore } from '../store/open.ts'
import { ServerLeases } from '../store/server-leases.ts'
import { TenantChanges } from '../tenancy/tenants/changes.ts'
import type { TenantsState } from '../tenancy/tenants/state.ts'
import { emptyBooks } from './books.ts'

export interface RoomsOptions {
  readonly open: OpenStore
  readonly host: AdapterHost
  /** Budget of the memory tier, and how long a request waits for some of it. */
  readonly memory: { readonly budgetBytes: number; readonly waitMs?: number | undefined }
  readonly log: Log
  /** Reads adapter folders: a function, or a thread that is told where the base model lies. */
  readonly reader: AdapterReader | { readonly modelDir: string }
  /** What new versions are compared with, or why nothing; closed with the rooms. */
  readonly reference?: ReferencePort | { readonly off: string }
  /** Names of the base model that adapters may give; left out = any. */
  readonly baseNames?: readonly string[]
  /** For tests. */
  readonly pace?: Pace
}

/** How often and how patiently the store is looked at, and the dice. */
export interface Pace {
  /** Between two looks at what others wrote and dropped. */
  readonly followMs?: number
  /** How long the files of a dropped folder must rest before it is taken. */
  readonly inboxRestMs?: number
  /** Uniform in [0, 1); chooses among the routes of a task. */
  readonly random?: () => number
}

/** Numbers for metrics and health; counters grow from the start of the process. */
export interface RoomsStats extends ResidencyStats {
  readonly adapters: number
  readonly versions: number
  readonly tasks: number
  /** Folders in the inbox and records in the journal that cannot be used. */
  readonly rejected: number
  /** Versions compared with merged weights, and the time that took. */
  readonly mergedProbes: number
  readonly mergedProbeSeconds: number
  readonly uploads: number
  readonly refusedUploads: number
  readonly imports: number
  readonly activations: number
  readonly rollbacks: number
  readonly deletions: number
  /** Number of the last record of the journal that is known here. */
  readonly journalHead: number
  /** Blobs that are deleted but still there. */
  readonly condemnedBlobs: number
  /** Why the store cannot be used now; null = it can. */
  readonly storeError: string | null
}

interface Running {
  readonly open: OpenStore
  readonly leases: ServerLeases
  readonly collector: Collector
  readonly inbox: Inbox | null
  readonly readers: Readers
  readonly merged: MergedCheck
  readonly followMs: number
}

/** Adapters and tasks behind HTTP: what the journal says, what of it is in memory, and the way in for new files. */
export class Rooms {
  /** Id of this server: in its records, its answers and its lease. */
  readonly server: string
  readonly catalogue: Catalogue
  readonly changes: Changes
  readonly residency: Residency
  readonly intake: Intake
  readonly tenants: TenantsState
  readonly tenantChanges: TenantChanges
  readonly journal: Journal
  /** What evaluations are made with and run on. */
  readonly evaluation: EvaluationHost
  readonly #running: Running
  #timer: NodeJS.Timeout | null = null
  #following: Promise<void> = Promise.resolve()
  #closing: Promise<void> | null = null

  private constructor(
    rooms: Pick<
      Rooms,
      | 'server'
      | 'catalogue'
      | 'changes'
      | 'residency'
      | 'intake'
      | 'tenants'
      | 'tenantChanges'
      | 'journal'
      | 'evaluation'
    >,
    running: Running,
  ) {
    this.server = rooms.server
    this.catalogue = rooms.catalogue
    this.changes = rooms.changes
    this.residency = rooms.residency
    this.intake = rooms.intake
    this.tenants = rooms.tenants
    this.tenantChanges = rooms.tenantChanges
    this.journal = rooms.journal
    this.evaluation = rooms.evaluation
    this.#running = running
  }

  /**
   * Brings the catalogue to what the store says and starts what runs by itself. No weights are waited for.
   *
   * @throws TroupeError `storage_error`, `invalid_config`
   */
  static async open(options: RoomsOptions): Promise<Rooms> {
    const { open, host, log, memory, pace = {} } = options
    const server = `${hostname()
      .replace(/[^A-Za-z0-9-]/g, '-')
      .slice(0, 40)}-${randomBytes(4).toString('hex')}`
    const { state, tenants, evaluations: evaluated, books } = emptyBooks()
    // The lease comes first: from then on nothing is removed that this server may read about.
    const leases: ServerLeases = new ServerLeases(open.store, { server, host: hostname() }, () => released())
    let released = (): number => 0
    await leases.beat()
    const journal = await Journal.open({ store: open.store, books, server, log })

    const catalogue = new Catalogue(state, host.info, pace.random ?? Math.random)
    const tenantChanges = new TenantChanges(journal, tenants, (tenant) => state.ownedBy(tenant))
    const changes = new Changes(journal, catalogue, (task, routes) =>
      checkGate({ evaluations: evaluated, state, base: host.info }, task, routes),
    )
    const evaluations = new Evaluations({
      ...{ state: evaluated, catalogue: state, journal, store: open.store },
      base: { name: host.info.name, fingerprint: host.info.fingerprint },
    })
    const readers = openReaders(options.reader, host.info)
    const isUsed = (digest: string): boolean => residency.isUsed(digest)
    const collector = new Collector({ store: open.store, journal, state, leases, isUsed, log })
    released = () => Collector.released({ journal, state, isUsed })
    const { blobs, folder } = open
    // Others wait for this server's word before they remove what it used.
    const onReleased = (): void => {
      const sweep = (): Promise<void> => collector.sweep()
      leases.beat().then(sweep, sweep)
    }
    const residency: Residency = new Residency({
      catalogue,
      changes,
      blobs,
      host,
      read: readers.read,
      memory,
      log,
      onReleased,
    })
    journal.onRecord((record) => residency.onRecord(record))

    const merged = new MergedCheck(options.reference ?? { off: 'this process has no reference' })
    const prover = new Prover({ tier: residency.tier, host, measure: readers.measure, merged })
    const baseNames = options.baseNames ?? null
    const intake = new Intake({ open, catalogue, changes, prover, readers, host, baseNames, log })
    const inbox =
      folder === null ? null : await Inbox.open(join(folder, 'inbox'), intake, log, pace.inboxRestMs ?? 1_000)
    catalogue.show({
      unserved: () => [...(inbox?.rejected() ?? []), ...residency.drainingRecords(), ...intake.pending.records()],
      failureOf: (digest) => residency.failureOf(digest),
    })
    const followMs = pace.followMs ?? 1_000
    const rooms = new Rooms(
      {
        server,
        catalogue,
        changes,
        residency,
        intake,
        tenants,
        tenantChanges,
        journal,
        evaluation: { evaluations, journal, store: open.store, leases },
      },
      { open, leases, collector, inbox, readers, merged, followMs },
    )
    await rooms.#start()
    return rooms
  }

  /** Looks at the store now instead of at the next interval, and imports what was dropped and came to rest. */
  async follow(): Promise<void> {
    await this.#look()
    await this.#running.inbox?.settled()
  }

  stats(): RoomsStats {
    const { catalogue, changes, intake, journal } = this
    const { inbox, merged } = this.#running
    const { state } = catalogue
    return {
      ...this.residency.stats(),
      ...changes.counts,
      ...intake.counts,
      adapters: state.adapters.size,
      versions: catalogue.versionCount,
      tasks: state.tasks.size,
      rejected: (inbox?.rejected().length ?? 0) + journal.unusable.length,
      mergedProbes: merged.counts.compared,
      mergedProbeSeconds: merged.counts.seconds,
      imports: inbox?.imported ?? 0,
      journalHead: journal.head,
      condemnedBlobs: [...state.condemned.values()].filter(({ orphan }) => !orphan).length,
      storeError: journal.trouble,
    }
  }

  /** Throws if the books of memory, leases and catalogue do not agree. */
  checkIntegrity(): void {
    this.residency.checkIntegrity()
  }

  /** Ends what is in progress and stops the threads. Leases may be released afterwards. Idempotent. */
  async close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #start(): Promise<void> {
    const { leases, collector } = this.#running
    this.residency.start()
    await leases.beat()
    leases.start()
    collector.start()
    void collector.sweep()
    this.#schedule()
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      this.#following = this.#look()
      void this.#following.then(() => {
        if (!this.#closing) this.#schedule()
      })
    }, this.#running.followMs)
    this.#timer.unref()
  }

  /** Imports are left running: they may take long, and others' changes are to be seen meanwhile. */
  async #look(): Promise<void> {
    await this.journal.follow()
    this.residency.retryPins()
    await this.#running.inbox?.look(performance.now())
  }

  /** From the outside in. */
  async #end(): Promise<void> {
    const { open, leases, collector, inbox, readers, merged } = this.#running
    if (this.#timer) clearTimeout(this.#timer)
    await this.#following
    await inbox?.settled()
    await this.intake.close()
    await this.residency.close()
    await collector.stop()
    await this.journal.close()
    await leases.close()
    await readers.close()
    await merged.close()
    await open.store.close()
  }
}
