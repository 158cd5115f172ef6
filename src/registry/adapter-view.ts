import type { Catalogue } from './catalogue.ts'
import type { Draining } from './draining.ts'
import type { DroppedFolders } from './dropped-folders.ts'
import { unusableVersion } from './dropped-folders.ts'
import { canSee } from './names.ts'
import type { AdapterRecord, VersionRecord } from './records.ts'
import type { StoreFollower } from './store-follower.ts'

/** Adapters as people see them: what is served, and also what is on its way out and what was refused. */
export class AdapterView {
  readonly #catalogue: Catalogue
  readonly #draining: Draining
  readonly #dropped: DroppedFolders
  readonly #follower: StoreFollower

  constructor(catalogue: Catalogue, draining: Draining, dropped: DroppedFolders, follower: StoreFollower) {
    this.#catalogue = catalogue
    this.#draining = draining
    this.#dropped = dropped
    this.#follower = follower
  }

  get(name: string): AdapterRecord | null {
    return this.#record(name, this.unserved().get(name) ?? [])
  }

  /** What the tenant may see, by name. */
  list(tenant: string): AdapterRecord[] {
    const unserved = this.unserved()
    const names = new Set([...this.#catalogue.names(), ...unserved.keys()])
    const visible = [...names].filter((name) => canSee(name, tenant)).sort()
    return visible.flatMap((name) => this.#record(name, unserved.get(name) ?? []) ?? [])
  }

  /** Draining versions, refused folders and damaged versions, by adapter. */
  unserved(): Map<string, VersionRecord[]> {
    const damaged = this.#follower.damaged.flatMap(({ kind, name, digest, path, message }) => {
      return kind === 'version'
        ? [unusableVersion(name, digest ?? '', `${path}: ${message}`, new Date(0).toISOString())]
        : []
    })
    const byAdapter = new Map<string, VersionRecord[]>()
    for (const record of [...this.#dropped.rejected(), ...damaged, ...this.#draining.records()]) {
      byAdapter.set(record.adapter, [...(byAdapter.get(record.adapter) ?? []), record])
    }
    return byAdapter
  }

  #record(name: string, unserved: readonly VersionRecord[]): AdapterRecord | null {
    const served = this.#catalogue.get(name)
    if (unserved.length === 0) return served
    const versions = [...(served?.versions ?? []), ...unserved].sort((a, b) => a.version - b.version)
    const createdAt = served?.createdAt ?? versions.map((version) => version.createdAt).sort()[0] ?? ''
    return { name, createdAt, versions }
  }
}
