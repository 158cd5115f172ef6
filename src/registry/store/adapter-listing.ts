import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isNamePart } from '../names.ts'
import type { AdapterNotes } from '../adapter-notes.ts'
import { mapConcurrent } from '../serial.ts'
import { DirectoryCache } from './directory-cache.ts'
import type { DirectoryEntries } from './directory-cache.ts'
import type { Disk } from './disk.ts'
import { isDigestFolder, parseVersion, VERSION_FILE } from './documents.ts'
import { errnoOf } from './durable.ts'
import { NOTES_FILE, NotesFiles } from './notes-files.ts'
import type { DamagedEntry, DroppedFolder, StoreListing, VersionDocument } from './port.ts'

const CONCURRENCY = 64
const ADAPTER_CONFIG = 'adapter_config.json'

const NO_DAMAGE: readonly DamagedEntry[] = []

/** What was read for one adapter, for as long as its version folders stay the same. */
interface KnownAdapter {
  readonly folders: readonly string[]
  readonly versions: readonly VersionDocument[]
  readonly damaged: readonly DamagedEntry[]
}

interface Found {
  readonly disk: Disk
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

  async list(disk: Disk): Promise<Omit<StoreListing, 'tasks' | 'rejections'>> {
    this.#directories.beginRound()
    const top = await this.#directories.read(this.#root, '', disk)
    if (!top) throw Object.assign(new Error(`${this.#root} is missing`), { code: 'ENOENT' })
    const found: Found = { disk, known: new Map(), notes: new Map(), dropped: [], failed: [] }
    const { known, dropped, failed } = found
    const visit = async (name: string): Promise<void> => {
      try {
        await this.#visit(name, found)
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
    await mapConcurrent(top.folders.filter(isNamePart), CONCURRENCY, visit)
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

  async #visit(name: string, found: Found): Promise<void> {
    const entries = await this.#directories.read(join(this.#root, name), name, found.disk)
    if (!entries) return
    if (entries.folders.some(isDigestFolder)) {
      await this.#visitAdapter(name, entries, found)
      return
    }
    const inner = new Map<string, DirectoryEntries>()
    for (const part of entries.folders.filter(isNamePart)) {
      const children = await this.#directories.read(join(this.#root, name, part), `${name}/${part}`, found.disk)
      if (children) inner.set(part, children)
    }
    if (entries.files.includes(ADAPTER_CONFIG)) {
      const isOwner = [...inner.values()].some(({ folders }) => folders.some(isDigestFolder))
      if (!isOwner) {
        await this.#visitAdapter(name, entries, found)
        return
      }
      const message = `"${name}" is an owner: move the adapter files that lie in this folder into a folder of their own`
      found.failed.push({ kind: 'adapter', name, digest: null, path: join(this.#root, name), message })
    }
    for (const [part, children] of inner) {
      const isAdapter = children.folders.some(isDigestFolder) || !isPartOfTraining(part)
      if (isAdapter) await this.#visitAdapter(`${name}/${part}`, children, found)
    }
  }

  async #visitAdapter(adapter: string, entries: DirectoryEntries, found: Found): Promise<void> {
    const { known } = found
    const dir = join(this.#root, adapter)
    const former = this.#known.get(adapter)
    const isPlain = entries.folders.every(isDigestFolder)
    const folders = isPlain ? entries.folders : entries.folders.filter(isDigestFolder)
    const unchanged = former && (former.folders === folders || former.folders.join() === folders.join())
    known.set(adapter, unchanged ? former : await this.#readVersions(adapter, folders, former, found.disk))
    if (entries.files.includes(NOTES_FILE)) await this.#readNotes(adapter, dir, found)
    if (entries.files.includes(ADAPTER_CONFIG)) await addDropped(adapter, dir, found)
    for (const sub of entries.folders) {
      if (!isDigestFolder(sub) && !isPartOfTraining(sub)) await addDropped(adapter, join(dir, sub), found)
    }
  }

  /** Notes that cannot be read leave the adapter as it is: the former ones stay. */
  async #readNotes(adapter: string, dir: string, { disk, notes, failed }: Found): Promise<void> {
    let read = this.#notes.get(adapter) ?? null
    try {
      read = await this.#notesFiles.get(dir, disk)
    } catch (error) {
      const path = join(dir, NOTES_FILE)
      failed.push({ kind: 'adapter', name: adapter, digest: null, path, message: messageOf(error) })
    }
    if (read) notes.set(adapter, read)
  }

  async #readVersions(
    adapter: string,
    folders: readonly string[],
    former: KnownAdapter | undefined,
    disk: Disk,
  ): Promise<KnownAdapter> {
    const formerByDigest = new Map(former?.versions.map((version) => [version.digest, version]))
    const versions: VersionDocument[] = []
    const damaged: DamagedEntry[] = []
    for (const folder of folders) {
      const digest = `sha256:${folder}`
      const path = join(this.#root, adapter, folder, VERSION_FILE)
      try {
        versions.push(formerByDigest.get(digest) ?? parseVersion(await disk.text(path), adapter, folder))
      } catch (error) {
        damaged.push({ kind: 'version', name: adapter, digest, path, message: messageOf(error) })
      }
    }
    versions.sort((a, b) => a.version - b.version || a.createdAt.localeCompare(b.createdAt))
    const unique =
      versions.length < 2
        ? versions
        : versions.filter((version, index) => {
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

/** A trainer's checkpoint lies in the folder of its training: it is taken when somebody gives it a name of its own. */
function isPartOfTraining(folder: string): boolean {
  return folder.startsWith('.') || /^checkpoint-\d+$/.test(folder)
}

/** Adds the folder if it holds an adapter's config. Its files are looked at every time: their sizes change while it is copied. */
async function addDropped(adapter: string, dir: string, { disk, dropped }: Found): Promise<void> {
  const entries = await new DirectoryCache().read(dir, dir, disk)
  if (!entries?.files.includes(ADAPTER_CONFIG)) return
  try {
    const files = await mapConcurrent(entries.files, CONCURRENCY, async (name) => {
      const { size, mtimeMs } = await stat(join(dir, name))
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
