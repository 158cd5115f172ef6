import { Readable } from 'node:stream'
import { TroupeError } from '../../src/core/errors.ts'
import type { Proof } from '../../src/registry/proof.ts'
import type { Tier } from '../../src/core/generation.ts'
import type { AdapterPage, PageOptions } from '../../src/registry/adapter-view.ts'
import type { VersionNotes } from '../../src/registry/adapter-notes.ts'
import type { LoadPlan } from '../../src/registry/load-plan.ts'
import type { MergeInput } from '../../src/registry/merges.ts'
import type { NotesInput } from '../../src/registry/notes-book.ts'
import { Changes } from '../../src/registry/changes.ts'
import type { Claim } from '../../src/registry/leases.ts'
import { PendingUploads } from '../../src/registry/pending-uploads.ts'
import type { PendingUpload } from '../../src/registry/pending-uploads.ts'
import { canSee } from '../../src/registry/names.ts'
import type {
  AdapterRecord,
  Lease,
  Resolution,
  Route,
  Target,
  TaskRecord,
  VersionRecord,
  VersionSource,
} from '../../src/registry/records.ts'
import type { Deletion } from '../../src/registry/removal.ts'
import type { Staging } from '../../src/registry/store/port.ts'
import type { TaskInput } from '../../src/registry/task-changes.ts'
import type { RegistryPort } from '../../src/server/deps.ts'
import { FAKE_INFO } from './fake-engine.ts'

const AT = '2026-01-02T03:04:05.000Z'

/** `fakeVersion('acme/a', 2)` has the digest `sha256:<four letters of the name and number>…`. */
export function fakeVersion(adapter: string, version: number, digestStart: string): VersionRecord {
  return {
    adapter,
    version,
    digest: `sha256:${digestStart.padEnd(64, '0')}`,
    state: 'ready',
    reason: null,
    createdAt: AT,
    source: 'upload',
    format: 'peft',
    method: 'lora',
    rank: 8,
    sites: ['layers.0.q_proj'],
    virtualTokens: 0,
    parameters: 128,
    bytes: 512,
    deviceBytes: 640,
    probe: { maxDifference: 0.5, kl: 0.1 },
  }
}

/** Stands in for the registry: everything in memory, leases counted. */
export class FakeRegistry implements RegistryPort {
  readonly adapters = new Map<string, VersionRecord[]>()
  readonly tasks = new Map<string, TaskRecord>()
  readonly uploads: Map<string, Buffer>[] = []
  /** Claims not given back. */
  claims = 0
  readonly pending = new PendingUploads({
    store: { addRejection: () => Promise.resolve(), clearRejections: () => Promise.resolve() },
    changes: new Changes(),
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  })
  readonly imports: [string, string, string][] = []
  readonly merges: MergeInput[] = []
  readonly prefetched: string[] = []
  leases = 0
  released = 0
  discarded = 0
  tier: Tier = 'cold'
  /** Thrown at those who do not want to wait for memory. */
  failBackground: TroupeError | null = null
  failAcquire: TroupeError | null = null
  deletion: Deletion = { status: 'deleted' }
  /** Aborting it is what a passed deadline does to running requests. */
  revocation = new AbortController()
  drainSeconds: number | undefined
  lastTarget: Target | null = null

  addAdapter(name: string, ...digestStarts: string[]): void {
    this.adapters.set(
      name,
      digestStarts.map((start, i) => fakeVersion(name, i + 1, start)),
    )
  }

  resolve(target: Target, tenant: string): Resolution {
    const name = target.task ?? target.model ?? ''
    const task = canSee(name, tenant) ? (this.tasks.get(name) ?? null) : null
    if (target.task !== undefined && !task) throw new TroupeError('task_not_found', `no task ${name}`)
    const listed = target.adapters?.map((item) => this.#pick(item.name, item.version, item.scale ?? 1, tenant))
    const { stack = false } = target
    this.lastTarget = target
    if (task) {
      const [route] = task.routes
      const shadow = task.shadow && this.#pick(task.shadow.adapter, task.shadow.version, 1, '*')
      const adapters = listed ?? (route ? [this.#pick(route.adapter, route.version, 1, '*')] : [])
      return { task, adapters, stack, shadow }
    }
    if (name === FAKE_INFO.name) return { task: null, adapters: listed ?? [], stack, shadow: null }
    const [adapter = '', version] = name.split('@v')
    if (!this.adapters.has(adapter) || !canSee(adapter, tenant))
      throw new TroupeError('model_not_found', `no model ${name}`, { param: 'model' })
    const own = this.#pick(adapter, version === undefined ? undefined : Number(version), 1, tenant)
    return { task: null, adapters: [own, ...(listed ?? [])], stack, shadow: null }
  }

  claim(resolution: Resolution): Claim {
    this.claims += 1
    let lease: Lease | null = null
    return {
      signal: this.revocation.signal,
      acquire: async () => (lease = await this.acquire(resolution)),
      release: () => {
        this.claims -= 1
        lease?.release()
      },
    }
  }

  async acquire(resolution: Resolution, wait = true): Promise<Lease> {
    if (!wait && this.failBackground) throw this.failBackground
    if (this.failAcquire) throw this.failAcquire
    this.leases += 1
    let held = true
    return {
      resolution,
      tiers: new Map(resolution.adapters.map(({ digest }) => [digest, this.tier])),
      loadMs: 3,
      signal: this.revocation.signal,
      release: () => {
        if (held) this.released += 1
        held = false
      },
    }
  }

  async plan(
    items: readonly { readonly name: string; readonly version?: number }[],
    tenant: string,
  ): Promise<LoadPlan> {
    const adapters = items.map(({ name, version }) => {
      const { digest, version: number } = this.#pick(name, version, 1, tenant)
      return {
        adapter: name,
        version: number,
        digest,
        bytes: 512,
        deviceBytes: 640,
        tier: 'cold' as const,
        loadMs: 1.005,
      }
    })
    const tier = { fits: true, neededBytes: 512, freeBytes: 0, budgetBytes: 1_000 }
    const evicts = [
      { adapter: 'json', version: 2 },
      { adapter: 'zeta/secret', version: 1 },
    ]
    return { adapters, memory: { ...tier, evicts }, device: { ...tier, fits: false, evicts: [] }, loadMs: 3 }
  }

  async importFolder(name: string, path: string, within: string): Promise<{ record: VersionRecord; created: boolean }> {
    this.imports.push([name, path, within])
    this.addAdapter(name, 'eeee')
    return { record: fakeVersion(name, 1, 'eeee'), created: true }
  }

  deletedVersion(): null {
    return null
  }

  prefetch(resolution: Resolution): void {
    this.prefetched.push(...resolution.adapters.map(({ digest }) => digest))
  }

  beginUpload(adapter: string, notes: VersionNotes, source: VersionSource): PendingUpload {
    return this.pending.begin(adapter, notes, source)
  }

  async mergeInto(staging: Staging, input: MergeInput, tenant: string): Promise<string> {
    const picked = input.adapters.map(({ name, version }) => this.#pick(name, version, 1, tenant))
    this.merges.push(input)
    await staging.write('merged', Readable.from([Buffer.from(JSON.stringify(input))]))
    return picked.map(({ adapter, version }) => `${adapter}@v${version}`).join(' + ')
  }

  async describeAdapter(name: string, input: NotesInput): Promise<AdapterRecord> {
    return { ...this.getAdapter(name, '*'), ...input }
  }

  async describeVersion(name: string, version: number, notes: VersionNotes): Promise<VersionRecord> {
    const record = { ...this.getAdapter(name, '*').versions[version - 1]!, ...notes }
    this.adapters.get(name)![version - 1] = record
    return record
  }

  async proofOf(): Promise<Proof | null> {
    return {
      parameters: 2,
      sites: [{ site: 'layers.0.q_proj', norm: 0.5 }],
      merged: { deviation: 0.01, tolerance: 0.2, reason: null },
    }
  }

  async retryVersion(name: string, version: number): Promise<VersionRecord> {
    return this.getAdapter(name, '*').versions[version - 1]!
  }

  async stageUpload(): Promise<Staging> {
    const files = new Map<string, Buffer>()
    this.uploads.push(files)
    return {
      dir: '/nowhere',
      write: async (fileName, content, limitBytes = Infinity) => {
        const chunks: Uint8Array[] = []
        let bytes = 0
        for await (const chunk of content) {
          bytes += chunk.byteLength
          if (bytes > limitBytes) throw new TroupeError('upload_too_large', `${fileName} is too large`)
          chunks.push(chunk)
        }
        files.set(fileName, Buffer.concat(chunks))
        return bytes
      },
      discard: async () => {
        this.discarded += 1
      },
    }
  }

  async addVersion(
    name: string,
    _staging: Staging,
    origin: { readonly notes?: VersionNotes },
  ): Promise<{ record: VersionRecord; created: boolean }> {
    const content = Buffer.concat([...(this.uploads.at(-1)?.values() ?? [])]).toString('hex')
    if (content === '') throw new TroupeError('invalid_adapter', 'the files are empty', { param: 'files' })
    const versions = this.adapters.get(name) ?? []
    const known = versions.find(({ digest }) => digest.includes(content.slice(0, 16)))
    if (known) return { record: known, created: false }
    const record = { ...fakeVersion(name, versions.length + 1, content.slice(0, 16)), ...origin.notes }
    this.adapters.set(name, [...versions, record])
    return { record, created: true }
  }

  pageAdapters(tenant: string, { prefix = '', after = '', limit = Infinity }: PageOptions): AdapterPage {
    const wanted = this.listAdapters(tenant)
      .filter(({ name }) => name.startsWith(prefix) && name > after)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
    const records = wanted.slice(0, limit)
    return { records, next: wanted.length > limit ? (records.at(-1)?.name ?? null) : null }
  }

  listAdapters(tenant: string): AdapterRecord[] {
    return [...this.adapters.keys()].filter((name) => canSee(name, tenant)).map((name) => this.getAdapter(name, tenant))
  }

  getAdapter(name: string, tenant: string): AdapterRecord {
    const versions = this.adapters.get(name)
    if (!versions || !canSee(name, tenant)) throw new TroupeError('adapter_not_found', `no adapter ${name}`)
    return { name, createdAt: AT, versions }
  }

  async deleteAdapter(name: string, drainSeconds?: number): Promise<Deletion> {
    this.drainSeconds = drainSeconds
    this.getAdapter(name, '*')
    for (const task of this.tasks.values())
      if (task.routes.some(({ adapter }) => adapter === name))
        throw new TroupeError('adapter_in_use', `task ${task.name} routes to ${name}`)
    this.adapters.delete(name)
    return this.deletion
  }

  async deleteVersion(name: string, version: number): Promise<Deletion> {
    this.adapters.set(
      name,
      this.getAdapter(name, '*').versions.filter((record) => record.version !== version),
    )
    return this.deletion
  }

  async putTask(name: string, input: TaskInput): Promise<{ task: TaskRecord; created: boolean }> {
    const before = this.tasks.get(name)
    const routes = input.routes?.map(({ adapter, version, weight }) => {
      const picked = this.#pick(adapter, version, 1, '*')
      return { adapter, version: picked.version, weight: weight ?? 1 }
    })
    const task: TaskRecord = {
      name,
      description: input.description ?? before?.description ?? '',
      routes: routes ?? before?.routes ?? [],
      shadow:
        input.shadow === undefined
          ? (before?.shadow ?? null)
          : input.shadow && { version: 1, sample: 1, ...input.shadow },
      pinned: input.pinned ?? before?.pinned ?? false,
      prompt: input.prompt ?? before?.prompt ?? null,
      system: input.system ?? before?.system ?? null,
      defaults: input.defaults ?? before?.defaults ?? {},
      history: [],
      revision: (before?.revision ?? 0) + 1,
      createdAt: AT,
      updatedAt: AT,
    }
    this.tasks.set(name, task)
    return { task, created: !before }
  }

  async activate(
    name: string,
    route: { readonly adapter: string; readonly version?: number },
    by: string,
  ): Promise<{ task: TaskRecord; previous: readonly Route[] }> {
    const before = this.getTask(name, '*')
    const { task } = await this.putTask(name, { routes: [route] })
    const history = [...before.history, { revision: task.revision, at: AT, by, routes: before.routes }]
    const after = { ...task, history }
    this.tasks.set(name, after)
    return { task: after, previous: before.routes }
  }

  async rollback(name: string): Promise<{ task: TaskRecord; previous: readonly Route[] }> {
    const before = this.getTask(name, '*')
    const last = before.history.at(-1)
    if (!last) throw new TroupeError('rollback_empty', `task ${name} has no earlier activation`)
    const after = { ...before, routes: last.routes, history: before.history.slice(0, -1) }
    this.tasks.set(name, after)
    return { task: after, previous: before.routes }
  }

  listTasks(tenant: string): TaskRecord[] {
    return [...this.tasks.values()]
      .filter(({ name }) => canSee(name, tenant))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  getTask(name: string, tenant: string): TaskRecord {
    const task = this.tasks.get(name)
    if (!task || !canSee(name, tenant)) throw new TroupeError('task_not_found', `no task ${name}`)
    return task
  }

  async deleteTask(name: string): Promise<void> {
    this.getTask(name, '*')
    this.tasks.delete(name)
  }

  #pick(name: string, version: number | undefined, scale: number, tenant: string) {
    const { versions } = this.getAdapter(name, tenant)
    const record = version === undefined ? versions.at(-1) : versions.find((one) => one.version === version)
    if (!record) throw new TroupeError('version_not_found', `no version ${version} of ${name}`)
    return { adapter: name, version: record.version, digest: record.digest, scale, virtualTokens: record.virtualTokens }
  }
}
