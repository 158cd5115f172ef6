import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isNamePart } from '../names.ts'
import type { AdapterNotes } from '../adapter-notes.ts'
import { DirectoryCache } from './directory-cache.ts'
import type { DirectoryEntries } from './directory-cache.ts'
import { isDigestFolder, parseVersion, VERSION_FILE } from './documents.ts'
import { errnoOf } from './durable.ts'
import { NOTES_FILE, NotesFiles } from './notes-files.ts'
import type { DamagedEntry, DroppedFolder, StoreListing, VersionDocument } from './port.ts'
import { visitInSlices } from './time-slices.ts'

const ADAPTER_CONFIG = 'adapter_config.json'
const NO_DAMAGE: readonly DamagedEntry[] = []

/** What was read for one adapter, for as long as its version folders stay the same. */
interface KnownAdapter {
  readonly folders: readonly string[]
  readonly versions: readonly VersionDocument[]
  readonly damaged: readonly DamagedEntry[]
}

interface Found {
  readonly known: Map<string, KnownAdapter>
  readonly notes: Map<string, AdapterNotes>
  readonly dropped: DroppedFolder[]
  readonly failed: DamagedEntry[]
}

/**
 * Reads `adapters/`. A folder there is an adapter if it holds version folders, or an adapter's files and no adapters; otherwise it
 * is an owner, and the folders in it are that owner's adapters. In an adapter's folder, the files of an adapter and every subfolder that is
 * no version are what a person dropped there.
 */
export class AdapterListing {
  readonly #root: string
  readonly #directories = new DirectoryCache()
  readonly #notesFiles = new NotesFiles()
  #known = new Map<string, KnownAdapter>()
  #notes = new Map<string, AdapterNotes>()

  constructor(root: string) {
    this.#root = root
  }

  async list(): Promise<Omit<StoreListing, 'tasks'>> {
    this.#directories.beginRound()
    const top = this.#directories.read(this.#root)
    if (!top) throw Object.assign(new Error(`${this.#root} is missing`), { code: 'ENOENT' })
    const found: Found = { known: new Map(), notes: new Map(), dropped: [], failed: [] }
    const { known, dropped, failed } = found
    const visit = (name: string): void => {
      try {
        this.#visit(name, found)
      } catch (error) {
        // One folder that cannot be read hides nothing else; what was known of it stays.
        const path = join(this.#root, name)
        failed.push({ kind: 'adapter', name, digest: null, path, message: messageOf(error) })
        for (const [adapter, former] of this.#known) {
          if (adapter !== name && !adapter.startsWith(`${name}/`)) continue
          known.set(adapter, former)
          const notes = this.#notes.get(adapter)
          if (notes) found.notes.set(adapter, notes)
        }
      }
    }
    await visitInSlices(top.folders.filter(isNamePart), visit)
    this.#directories.endRound()
    this.#known = known
    const adapters = new Map<string, readonly VersionDocument[]>()
    for (const [name, { versions, damaged }] of known) {
      if (versions.length > 0) adapters.set(name, versions)
      failed.push(...damaged)
    }
    this.#notes = found.notes
    return { adapters, notes: found.notes, dropped, damaged: failed }
  }

  #visit(name: string, found: Found): void {
    const entries = this.#directories.read(join(this.#root, name))
    if (!entries) return
    if (entries.folders.some(isDigestFolder)) {
      this.#visitAdapter(name, entries, found)
      return
    }
    const inner = new Map<string, DirectoryEntries>()
    for (const part of entries.folders.filter(isNamePart)) {
      const children = this.#directories.read(join(this.#root, name, part))
      if (children) inner.set(part, children)
    }
    if (entries.files.includes(ADAPTER_CONFIG)) {
      const isOwner = [...inner.values()].some(({ folders }) => folders.some(isDigestFolder))
      if (!isOwner) {
        this.#visitAdapter(name, entries, found)
        return
      }
      const message = `"${name}" is an owner: move the adapter files that lie in this folder into a folder of their own`
      found.failed.push({ kind: 'adapter', name, digest: null, path: join(this.#root, name), message })
    }
    for (const [part, children] of inner) this.#visitAdapter(`${name}/${part}`, children, found)
  }

  #visitAdapter(adapter: string, entries: DirectoryEntries, found: Found): void {
    const { known, dropped } = found
    const dir = join(this.#root, adapter)
    const former = this.#known.get(adapter)
    const folders = entries.folders.filter(isDigestFolder)
    const unchanged = former && former.folders.join() === folders.join()
    known.set(adapter, unchanged ? former : this.#readVersions(adapter, folders, former))
    if (entries.files.includes(NOTES_FILE)) this.#readNotes(adapter, dir, found)
    if (entries.files.includes(ADAPTER_CONFIG)) addDropped(adapter, dir, dropped)
    for (const sub of entries.folders) {
      if (!isDigestFolder(sub) && !sub.startsWith('.')) addDropped(adapter, join(dir, sub), dropped)
    }
  }

  /** Notes that cannot be read leave the adapter as it is: the former ones stay. */
  #readNotes(adapter: string, dir: string, { notes, failed }: Found): void {
    let read = this.#notes.get(adapter) ?? null
    try {
      read = this.#notesFiles.get(dir)
    } catch (error) {
      const path = join(dir, NOTES_FILE)
      failed.push({ kind: 'adapter', name: adapter, digest: null, path, message: messageOf(error) })
    }
    if (read) notes.set(adapter, read)
  }

  #readVersions(adapter: string, folders: readonly string[], former: KnownAdapter | undefined): KnownAdapter {
    const formerByDigest = new Map(former?.versions.map((version) => [version.digest, version]))
    const versions: VersionDocument[] = []
    const damaged: DamagedEntry[] = []
    for (const folder of folders) {
      const digest = `sha256:${folder}`
      const path = join(this.#root, adapter, folder, VERSION_FILE)
      try {
        versions.push(formerByDigest.get(digest) ?? parseVersion(readFileSync(path, 'utf8'), adapter, folder))
      } catch (error) {
        damaged.push({ kind: 'version', name: adapter, digest, path, message: messageOf(error) })
      }
    }
    versions.sort((a, b) => a.version - b.version || a.createdAt.localeCompare(b.createdAt))
    const unique = versions.filter((version, index) => {
      const taken = versions[index - 1]?.version === version.version
      if (taken) {
        const message = `v${version.version} is the number of another version; remove one of the two folders`
        const path = join(this.#root, adapter, version.digest.slice('sha256:'.length))
        damaged.push({ kind: 'version', name: adapter, digest: version.digest, path, message })
      }
      return !taken
    })
    return { folders, versions: unique, damaged: damaged.length > 0 ? damaged : NO_DAMAGE }
  }
}

/** Adds the folder if it holds an adapter's config. Its files are looked at every time: their sizes change while it is copied. */
function addDropped(adapter: string, dir: string, dropped: DroppedFolder[]): void {
  const entries = new DirectoryCache().read(dir)
  if (!entries?.files.includes(ADAPTER_CONFIG)) return
  try {
    const files = entries.files.map((name) => {
      const { size, mtimeMs } = statSync(join(dir, name))
      return { name, size, mtimeMs }
    })
    dropped.push({ adapter, dir, files })
  } catch (error) {
    // A file went away between listing and looking: the next round sees the folder as it then is.
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
