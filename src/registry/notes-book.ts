import { TroupeError } from '../core/errors.ts'
import type { AdapterNotes, Labels, VersionNotes } from './adapter-notes.ts'
import { checkNotes, NO_NOTES } from './adapter-notes.ts'
import type { RegistryStore } from './store/port.ts'

const ATTEMPTS = 5

/** What is to change in notes. Left out = as it is. */
export interface NotesInput extends VersionNotes {
  readonly pinned?: boolean
}

/** Notes in memory, and changes that are durable before they are told. */
export class NotesBook {
  readonly #store: RegistryStore
  #notes: ReadonlyMap<string, AdapterNotes> = new Map()

  constructor(store: RegistryStore) {
    this.#store = store
  }

  get(adapter: string): AdapterNotes {
    return this.#notes.get(adapter) ?? NO_NOTES
  }

  /** Takes over what the store lists, but for adapters this process changed since the listing began. */
  follow(listed: ReadonlyMap<string, AdapterNotes>, isRecent: (adapter: string) => boolean): void {
    const notes = new Map([...listed].filter(([adapter]) => !isRecent(adapter)))
    for (const [adapter, kept] of this.#notes) if (isRecent(adapter)) notes.set(adapter, kept)
    this.#notes = notes
  }

  /** Names of pinned adapters. */
  pinned(): string[] {
    return [...this.#notes].flatMap(([adapter, { pinned }]) => (pinned ? [adapter] : []))
  }

  async change(adapter: string, input: NotesInput): Promise<void> {
    checkNotes(input)
    await this.#change(adapter, (notes) => ({ ...notes, ...input }))
  }

  async changeVersion(adapter: string, digest: string, input: VersionNotes): Promise<void> {
    checkNotes(input)
    await this.#change(adapter, (notes) => ({
      ...notes,
      versions: { ...notes.versions, [digest]: { ...notes.versions[digest], ...input } },
    }))
  }

  async #change(adapter: string, change: (notes: AdapterNotes) => AdapterNotes): Promise<void> {
    for (let attempt = 1, current = this.get(adapter); ; attempt++) {
      const notes = { ...change(current), revision: current.revision + 1 }
      try {
        await this.#store.putNotes(adapter, notes, current.revision)
        this.#notes = new Map([...this.#notes, [adapter, notes]])
        return
      } catch (error) {
        if (!(error instanceof TroupeError && error.code === 'conflict') || attempt === ATTEMPTS) throw error
        current = (await this.#store.getNotes(adapter)) ?? NO_NOTES
      }
    }
  }
}

/** Description and labels of a version: what came with the upload, and over it what was said since. */
export function versionNotes(
  own: { readonly description?: string; readonly labels?: Labels },
  later: VersionNotes | undefined,
): VersionNotes {
  const description = later?.description ?? own.description
  const labels = later?.labels ?? own.labels
  return { ...(description === undefined ? {} : { description }), ...(labels === undefined ? {} : { labels }) }
}
