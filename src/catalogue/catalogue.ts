import { TroupeError } from '../core/errors.ts'
import { ALL, ownsView } from './names.ts'
import type { AdapterRecord, Resolution, Target, VersionReference } from './records.ts'
import type { Selector } from './reference.ts'
import { describeSelector, parseReference } from './reference.ts'
import { resolveTarget } from './resolve.ts'
import type { CatalogueState } from './state.ts'
import { adapterNotFound } from './state.ts'
import type { TaskRecord } from './task.ts'
import { taskNotFound } from './task.ts'
import type { Version, VersionRecord } from './version.ts'
import { refusedVersion } from './version.ts'

/** Which part of a listing. */
export interface PageOptions {
  /** Only names that begin with this. */
  readonly prefix?: string
  /** Only names after this one. */
  readonly after?: string
  readonly limit?: number
}

export interface AdapterPage {
  readonly records: AdapterRecord[]
  /** `after` of the next page; null on the last one. */
  readonly next: string | null
}

/** What other rooms know of versions, for those who look at them. */
export interface Beside {
  /** Versions that are on their way in or out, or cannot be used. */
  readonly unserved: () => readonly VersionRecord[]
  /** Why the loads of a version were given up; null = they were not. */
  readonly failureOf: (digest: string) => string | null
}

/** By number; what never became a version has none, and is ordered by time. */
function inOrder(a: VersionRecord, b: VersionRecord): number {
  return a.version - b.version || (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0)
}

/** Whom else something is shared with is not told to those it is shared with. */
function seenBy<T extends { readonly name: string; readonly sharedWith?: readonly string[] }>(
  tenant: string,
  one: T,
): T {
  if (one.sharedWith === undefined || ownsView(one.name, tenant)) return one
  return { ...one, sharedWith: one.sharedWith.filter((other) => other === tenant || other === ALL) }
}

/** Everything there is to know about adapters and tasks, from memory. `tenant` is the view of whoever asks: `*` sees everything. */
export class Catalogue {
  readonly state: CatalogueState
  readonly #base: { readonly name: string; readonly fingerprint: string }
  readonly #random: () => number
  #beside: Beside = { unserved: () => [], failureOf: () => null }

  /**
   * @param base the base model served here: versions accepted for another one are not
   * @param random uniform in [0, 1): chooses among the routes of a task
   */
  constructor(
    state: CatalogueState,
    base: { readonly name: string; readonly fingerprint: string },
    random: () => number,
  ) {
    this.state = state
    this.#base = base
    this.#random = random
  }

  /** Shows what other rooms know beside what the journal says. */
  show(beside: Beside): void {
    this.#beside = beside
  }

  get versionCount(): number {
    let count = 0
    for (const { versions } of this.state.adapters.values()) count += versions.length
    return count
  }

  /** What a request runs with. See `resolveTarget` for the rules. */
  resolve(target: Target, tenant: string): Resolution {
    return resolveTarget(this, { baseName: this.#base.name, random: this.#random }, target, tenant)
  }

  /** Whether requests can be served by a version. */
  isReady({ base }: Version): boolean {
    return base.fingerprint === this.#base.fingerprint
  }

  /** The newest version that can be served. */
  newest(name: string): Version | null {
    return this.state.adapters.get(name)?.versions.findLast((version) => this.isReady(version)) ?? null
  }

  /**
   * The version a selector means.
   * @throws TroupeError `adapter_not_found`, `version_not_found`; `invalid_request` naming the candidates of an ambiguous digest
   */
  find(name: string, selector: Selector): Version {
    const versions = this.state.adapters.get(name)?.versions
    if (!versions) throw adapterNotFound(name)
    if (selector.kind === 'newest') return this.newest(name) ?? versions.at(-1)!
    const matches = versions.filter((version) => {
      return selector.kind === 'version'
        ? version.version === selector.version
        : version.digest.startsWith(selector.prefix)
    })
    const [match, second] = matches
    if (!match) {
      const known = versions.map(({ version }) => `v${version}`).join(', ')
      const message = `adapter "${name}" has no version ${describeSelector(selector)}; it has ${known}`
      throw new TroupeError('version_not_found', message, { param: 'version' })
    }
    if (!second) return match
    const candidates = matches.map(({ version, digest }) => `v${version} (${digest})`).join(', ')
    const message = `${describeSelector(selector)} could be ${candidates} of adapter "${name}": give more digits`
    throw new TroupeError('invalid_request', message, { param: 'version' })
  }

  /** The version a selector means, if it can be served. @throws TroupeError as `find`, and `adapter_not_ready` */
  select(name: string, selector: Selector): Version {
    const version = this.find(name, selector)
    if (this.isReady(version)) return version
    const message = `${name}@v${version.version} cannot be served: ${this.#foreignBase(version)}`
    throw new TroupeError('adapter_not_ready', message)
  }

  /** The version a client names. @throws TroupeError as `find` */
  named(name: string, reference: VersionReference): Version {
    return this.find(name, parseReference(reference, 'version'))
  }

  /** A stored version as people see it. */
  record(version: Version): VersionRecord {
    const failure = this.#beside.failureOf(version.digest)
    if (!this.isReady(version)) return { ...version, state: 'rejected', reason: this.#foreignBase(version) }
    return { ...version, state: failure === null ? 'ready' : 'failed', reason: failure }
  }

  /** A part of what the tenant may see, by name. Records are made for that part only. */
  pageAdapters(tenant: string, { prefix = '', after = '', limit = Infinity }: PageOptions): AdapterPage {
    const unserved = this.#unserved()
    const names: string[] = []
    const consider = (name: string): void => {
      if (name > after && name.startsWith(prefix) && this.state.isAdapterVisible(name, tenant)) names.push(name)
    }
    for (const name of this.state.adapters.keys()) consider(name)
    for (const name of unserved.keys()) if (!this.state.adapters.has(name)) consider(name)
    names.sort()
    const records = names.slice(0, limit).flatMap((name) => this.#adapter(name, unserved, tenant) ?? [])
    return { records, next: names.length > limit ? (names[limit - 1] ?? null) : null }
  }

  /** What the tenant may see, by name. */
  listAdapters(tenant: string): readonly AdapterRecord[] {
    return this.pageAdapters(tenant, {}).records
  }

  /** @throws TroupeError `adapter_not_found` */
  getAdapter(name: string, tenant: string): AdapterRecord {
    const isVisible = this.state.isAdapterVisible(name, tenant)
    const record = isVisible ? this.#adapter(name, this.#unserved(), tenant) : null
    if (!record) throw adapterNotFound(name)
    return record
  }

  /**
   * A version as people see it, also one that drains, or was deleted lately.
   * @throws TroupeError `adapter_not_found`, `version_not_found`, `invalid_request`
   */
  getVersion(name: string, reference: VersionReference, tenant: string): VersionRecord {
    if (!this.state.isAdapterVisible(name, tenant)) throw adapterNotFound(name)
    const selector = parseReference(reference, 'version')
    try {
      return this.record(this.find(name, selector))
    } catch (error) {
      if (!ownsView(name, tenant)) throw error
      const isMeant = (one: VersionRecord): boolean =>
        one.adapter === name &&
        (selector.kind === 'version'
          ? one.version === selector.version
          : selector.kind === 'digest' && one.digest.startsWith(selector.prefix))
      const gone = [
        ...(this.#unserved().get(name) ?? []),
        ...this.state.deleted.map((one) => ({ ...one, state: 'deleted' as const, reason: null })),
      ]
      const found = gone.find(isMeant)
      if (!found) throw error
      return found
    }
  }

  /** Tasks the tenant may see, by name. */
  listTasks(tenant: string): readonly TaskRecord[] {
    const visible = [...this.state.tasks.values()].filter(({ name }) => this.state.isTaskVisible(name, tenant))
    return visible.sort((a, b) => (a.name < b.name ? -1 : 1)).map((task) => seenBy(tenant, task))
  }

  /** @throws TroupeError `task_not_found` */
  getTask(name: string, tenant: string): TaskRecord {
    const task = this.state.isTaskVisible(name, tenant) ? this.state.tasks.get(name) : undefined
    if (!task) throw taskNotFound(name)
    return seenBy(tenant, task)
  }

  /** What is no served version, by adapter. */
  #unserved(): ReadonlyMap<string, VersionRecord[]> {
    const byAdapter = new Map<string, VersionRecord[]>()
    for (const record of [...this.state.refusals.map(refusedVersion), ...this.#beside.unserved()]) {
      byAdapter.set(record.adapter, [...(byAdapter.get(record.adapter) ?? []), record])
    }
    return byAdapter
  }

  /** What became no version is its owner's business: whom an adapter is shared with does not see it. */
  #adapter(
    name: string,
    unserved: ReadonlyMap<string, readonly VersionRecord[]>,
    tenant: string,
  ): AdapterRecord | null {
    const adapter = this.state.adapters.get(name)
    const others = (ownsView(name, tenant) && unserved.get(name)) || []
    if (!adapter && others.length === 0) return null
    const stored = (adapter?.versions ?? []).map((version) => this.record(version))
    const versions = [...stored, ...others].sort(inOrder)
    const [createdAt = ''] = (stored.length > 0 ? stored : versions).map((version) => version.createdAt).sort()
    const { description, labels, pinned = false, sharedWith } = adapter ?? {}
    return seenBy(tenant, {
      name,
      createdAt,
      ...(description === undefined ? {} : { description }),
      ...(labels === undefined ? {} : { labels }),
      pinned,
      ...(sharedWith === undefined ? {} : { sharedWith }),
      versions,
    })
  }

  #foreignBase({ base }: Version): string {
    return `accepted for the base model "${base.name}" (${base.fingerprint}), which is not the one served here`
  }
}
