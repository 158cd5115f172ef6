import { TroupeError } from '../core/errors.ts'
import type { Selector } from './names.ts'
import { describeSelector, ownerOf } from './names.ts'
import type { AdapterRecord, VersionRecord } from './records.ts'
import type { VersionDocument } from './store/port.ts'

interface Line {
  readonly createdAt: string
  /** Ascending by number. */
  readonly versions: readonly VersionRecord[]
  readonly newestReady: VersionRecord | null
  /** The listing this came from, to see at a glance that nothing changed; null after a change of our own. */
  readonly source: readonly VersionDocument[] | null
}

/** All accepted versions in memory, for look-ups without I/O. The store is the truth, this follows it. */
export class Catalogue {
  readonly #fingerprint: string
  readonly #lines = new Map<string, Line>()
  /** Adapters that have a digest; nearly always one, and then without a list around it. */
  readonly #adaptersByDigest = new Map<string, string | readonly string[]>()
  readonly #namesByOwner = new Map<string, number>()

  /** @param fingerprint of the base model: versions accepted for another one are not served */
  constructor(fingerprint: string) {
    this.#fingerprint = fingerprint
  }

  get adapterCount(): number {
    return this.#lines.size
  }

  get versionCount(): number {
    let count = 0
    for (const line of this.#lines.values()) count += line.versions.length
    return count
  }

  names(): IterableIterator<string> {
    return this.#lines.keys()
  }

  get(name: string): AdapterRecord | null {
    const line = this.#lines.get(name)
    return line ? { name, createdAt: line.createdAt, versions: line.versions } : null
  }

  has(name: string): boolean {
    return this.#lines.has(name)
  }

  /** The newest version that can be served. */
  newest(name: string): VersionRecord | null {
    return this.#lines.get(name)?.newestReady ?? null
  }

  /** Whether some adapter is called `owner/…`. */
  isOwner(owner: string): boolean {
    return this.#namesByOwner.has(owner)
  }

  /** Whether a listing says the same as what is known here, without looking at it. */
  isCurrent(name: string, source: readonly VersionDocument[]): boolean {
    return this.#lines.get(name)?.source === source
  }

  /** Adapters that have this version; empty = it is not in the store. */
  adaptersOf(digest: string): readonly string[] {
    const adapters = this.#adaptersByDigest.get(digest) ?? []
    return typeof adapters === 'string' ? [adapters] : adapters
  }

  byDigest(name: string, digest: string): VersionRecord | null {
    return this.#lines.get(name)?.versions.find((version) => version.digest === digest) ?? null
  }

  byNumber(name: string, number: number): VersionRecord | null {
    return this.#lines.get(name)?.versions.find(({ version }) => version === number) ?? null
  }

  /**
   * The version a selector means; it can be served.
   * @throws TroupeError `adapter_not_found`, `version_not_found`, `adapter_not_ready`; `invalid_request` for an ambiguous digest
   */
  select(name: string, selector: Selector): VersionRecord {
    const line = this.#lines.get(name)
    if (!line) throw adapterNotFound(name)
    if (selector.kind === 'newest') {
      const newest = line.newestReady ?? line.versions.at(-1)
      if (!newest) throw adapterNotFound(name)
      return ready(newest)
    }
    const matches = line.versions.filter((version) => {
      return selector.kind === 'version'
        ? version.version === selector.version
        : version.digest.startsWith(selector.prefix)
    })
    if (matches.length > 1) {
      const message = `${describeSelector(selector)} is the start of ${matches.length} digests of adapter "${name}": give more digits`
      throw new TroupeError('invalid_request', message)
    }
    const match = matches[0]
    if (!match)
      throw new TroupeError('version_not_found', `adapter "${name}" has no version ${describeSelector(selector)}`)
    return ready(match)
  }

  /** Replaces everything known of an adapter by what the store lists. */
  setListed(name: string, source: readonly VersionDocument[]): void {
    this.#set(
      name,
      source.map((document) => this.record(document)),
      source,
    )
  }

  add(document: VersionDocument): VersionRecord {
    const record = this.record(document)
    const others = (this.#lines.get(document.adapter)?.versions ?? []).filter(({ digest }) => digest !== record.digest)
    this.#set(
      document.adapter,
      [...others, record].sort((a, b) => a.version - b.version),
      null,
    )
    return record
  }

  removeVersion(name: string, digest: string): void {
    const versions = this.#lines.get(name)?.versions ?? []
    this.#set(
      name,
      versions.filter((version) => version.digest !== digest),
      null,
    )
  }

  removeAdapter(name: string): void {
    this.#set(name, [], null)
  }

  /** A stored version as people see it. */
  record(document: VersionDocument): VersionRecord {
    const { base, description, labels, warnings } = document
    const fits = base.fingerprint === this.#fingerprint
    // Field by field: there are thousands of these, and objects made so are the smallest.
    const record: VersionRecord = {
      adapter: document.adapter,
      version: document.version,
      digest: document.digest,
      state: fits ? 'ready' : 'rejected',
      reason: fits ? null : foreignBase(base),
      createdAt: document.createdAt,
      source: document.source,
      format: document.format,
      method: document.method,
      rank: document.rank,
      sites: document.sites,
      virtualTokens: document.virtualTokens,
      parameters: document.parameters,
      bytes: document.bytes,
      deviceBytes: document.deviceBytes,
      probe: document.probe,
    }
    if (description === undefined && labels === undefined && warnings === undefined) return record
    return {
      ...record,
      ...(description === undefined ? {} : { description }),
      ...(labels === undefined ? {} : { labels }),
      ...(warnings === undefined ? {} : { warnings }),
    }
  }

  #set(name: string, versions: readonly VersionRecord[], source: Line['source']): void {
    const former = this.#lines.get(name)
    for (const { digest } of former?.versions ?? []) this.#unlinkDigest(digest, name)
    const first = versions[0]
    if (!first) {
      if (former && this.#lines.delete(name)) this.#countOwned(name, -1)
      return
    }
    if (!former) this.#countOwned(name, 1)
    for (const { digest } of versions) {
      const others = this.adaptersOf(digest)
      this.#adaptersByDigest.set(digest, others.length === 0 ? name : [...others, name])
    }
    const createdAt = versions.reduce(
      (min, version) => (version.createdAt < min ? version.createdAt : min),
      first.createdAt,
    )
    const newestReady = versions.findLast(({ state }) => state === 'ready') ?? null
    this.#lines.set(name, { createdAt, versions, newestReady, source })
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

function ready(version: VersionRecord): VersionRecord {
  if (version.state === 'ready') return version
  const message = `${version.adapter}@v${version.version} cannot be served: ${version.reason ?? version.state}`
  throw new TroupeError('adapter_not_ready', message)
}

function foreignBase({ name, fingerprint }: VersionDocument['base']): string {
  return `accepted for the base model "${name}" (${fingerprint}), which is not the one served here`
}
