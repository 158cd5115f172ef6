import { mkdir, readdir, readFile, rename, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { TroupeError } from '../../core/errors.ts'
import type { AdapterNotes } from '../adapter-notes.ts'
import { checkName } from '../names.ts'
import type { TaskRecord } from '../records.ts'
import type { Rejection } from '../rejections.ts'
import { withoutRejections, withRejection } from '../rejections.ts'
import { makeAdapterFolder, removeEmptyFolders } from './adapter-folders.ts'
import { AdapterListing } from './adapter-listing.ts'
import { digestFolder, isDigestFolder, parseVersion, renderVersion, VERSION_FILE } from './documents.ts'
import { clearDropped } from './dropped-files.ts'
import { errnoOf, exists, flush, removeTree, storageError, writeNewFile } from './durable.ts'
import { KeptListing } from './kept-listing.ts'
import { sweepLeftovers } from './leftovers.ts'
import { withLock } from './lock.ts'
import type {
  DroppedFolder,
  NewVersion,
  RegistryStore,
  Staging,
  StoreListing,
  Trashed,
  VersionDocument,
} from './port.ts'
import { NotesFiles } from './notes-files.ts'
import { childrenOf, refuseOwnerClash } from './owner-clash.ts'
import { newTag } from './process-tag.ts'
import { RejectionsFile } from './rejections-file.ts'
import { StagingFolder } from './staging.ts'
import { TaskFiles } from './task-files.ts'
import { takeNumber } from './version-numbers.ts'

/** Folders and files from which on a thread looks after them; fewer are looked at in less time than it takes to ask it. */
const SURVEYED_FROM = 500

const FOLDERS = ['adapters', 'tasks', '.staging', '.trash', '.locks', '.numbers'] as const

/**
 * The store as a folder:
 *
 *     adapters/<name>/.notes.json what people say about the adapter and its versions
 *     adapters/<name>/<digest>/   one version: its files and version.json; comes by one rename, never changes
 *     tasks/<name>.json           one task; replaced by one rename
 *     .rejected.json              refused uploads, the newest ones
 *     .staging/                   uploads in progress
 *     .trash/                     deleted folders on their way out
 *     .numbers/<name>             the last version number given to an adapter, also a deleted one
 *     .locks/                     held for milliseconds by the process that writes
 */
export class FilesystemStore implements RegistryStore {
  readonly #root: string
  readonly #tasks: TaskFiles
  readonly #notes = new NotesFiles()
  readonly #rejections: RejectionsFile
  readonly #listing: KeptListing

  private constructor(root: string, surveyedFrom: number) {
    this.#root = root
    this.#tasks = new TaskFiles(join(root, 'tasks'))
    this.#rejections = new RejectionsFile(root)
    const adapters = new AdapterListing(join(root, 'adapters'))
    this.#listing = new KeptListing({ adapters, tasks: this.#tasks, rejections: this.#rejections }, surveyedFrom)
  }

  /**
   * Makes missing folders and removes what an earlier process left half done.
   * @param surveyedFrom how many folders and files make it worth a thread to see changes
   */
  static async open(root: string, surveyedFrom = SURVEYED_FROM): Promise<FilesystemStore> {
    try {
      for (const folder of FOLDERS) await mkdir(join(root, folder), { recursive: true })
      await sweepLeftovers(join(root, '.staging'))
      await sweepLeftovers(join(root, '.trash'))
    } catch (error) {
      throw storageError('open the store', root, error)
    }
    return new FilesystemStore(root, surveyedFrom)
  }

  async stage(): Promise<Staging> {
    return StagingFolder.create(join(this.#root, '.staging'))
  }

  async putVersion(
    staging: Staging,
    version: NewVersion,
  ): Promise<{ readonly document: VersionDocument; readonly created: boolean }> {
    if (!(staging instanceof StagingFolder)) throw new TroupeError('internal', 'staged in another store')
    const target = this.versionFolder(version.adapter, version.digest)
    return this.#locked('adapter', version.adapter, target, async () => {
      const stored = await this.#readVersions(version.adapter)
      const existing = stored.find(({ digest }) => digest === version.digest)
      if (existing) return { document: existing, created: false }
      await refuseOwnerClash(join(this.#root, 'adapters'), version.adapter)
      const number = await takeNumber(
        join(this.#root, '.numbers', flat(version.adapter)),
        stored.map((known) => known.version),
        this.#temporary(),
      )
      const document = { ...version, version: number }
      await this.#publish(staging, document)
      return { document, created: true }
    })
  }

  async repairVersion(staging: Staging, adapter: string, digest: string): Promise<void> {
    if (!(staging instanceof StagingFolder)) throw new TroupeError('internal', 'staged in another store')
    await this.#locked('adapter', adapter, this.versionFolder(adapter, digest), async () => {
      const document = (await this.#readVersions(adapter)).find((stored) => stored.digest === digest)
      if (!document) throw new TroupeError('version_not_found', `adapter "${adapter}" has no version ${digest}`)
      await this.#publish(staging, document)
    })
  }

  versionFolder(adapter: string, digest: string): string {
    return join(this.#adapterFolder(adapter), digestFolder(digest))
  }

  async deleteVersion(adapter: string, digest: string): Promise<Trashed> {
    const folder = this.versionFolder(adapter, digest)
    return this.#locked('adapter', adapter, folder, async () => {
      const trash = await this.#moveToTrash(folder, () => {
        return new TroupeError('version_not_found', `adapter "${adapter}" has no version ${digest}`)
      })
      // The last version gone, the name is free; anything else that lies in the folder keeps it.
      if (!(await childrenOf(this.#adapterFolder(adapter))).some(isDigestFolder))
        await this.#notes.delete(this.#adapterFolder(adapter))
      await removeEmptyFolders(join(this.#root, 'adapters'), adapter)
      return { folderOf: () => trash, remove: () => removeTree(trash) }
    })
  }

  async deleteAdapter(adapter: string): Promise<Trashed> {
    const folder = this.#adapterFolder(adapter)
    return this.#locked('adapter', adapter, folder, async () => {
      const trash = await this.#moveToTrash(folder, () => {
        return new TroupeError('adapter_not_found', `there is no adapter "${adapter}"`)
      })
      await removeEmptyFolders(join(this.#root, 'adapters'), adapter)
      return { folderOf: (digest) => join(trash, digestFolder(digest)), remove: () => removeTree(trash) }
    })
  }

  async getNotes(adapter: string): Promise<AdapterNotes | null> {
    return this.#notes.get(this.#adapterFolder(adapter))
  }

  async putNotes(adapter: string, notes: AdapterNotes, expected: number): Promise<void> {
    const folder = this.#adapterFolder(adapter)
    await this.#locked('adapter', adapter, folder, async () => {
      const revision = (await this.#notes.get(folder))?.revision ?? 0
      if (revision !== expected) {
        const message = `the notes of adapter "${adapter}" changed meanwhile: they are at revision ${revision}; read them again and repeat`
        throw new TroupeError('conflict', message)
      }
      if (!(await childrenOf(this.#adapterFolder(adapter))).some(isDigestFolder)) {
        throw new TroupeError('adapter_not_found', `there is no adapter "${adapter}"`)
      }
      await this.#notes.put(folder, notes, this.#temporary())
    })
  }

  async getTask(name: string): Promise<TaskRecord | null> {
    checkName(name, 'task')
    return this.#tasks.get(name)
  }

  async putTask(task: TaskRecord, expected: number | null): Promise<void> {
    checkName(task.name, 'task')
    await this.#locked('task', task.name, this.#tasks.path(task.name), async () => {
      const revision = (await this.#tasks.get(task.name))?.revision ?? null
      if (revision !== expected) {
        const found = revision === null ? 'it does not exist' : `it is at revision ${revision}`
        throw new TroupeError('conflict', `task "${task.name}" changed meanwhile: ${found}; read it again and repeat`)
      }
      await this.#tasks.put(task, this.#temporary())
    })
  }

  async deleteTask(name: string): Promise<void> {
    checkName(name, 'task')
    await this.#locked('task', name, this.#tasks.path(name), () => this.#tasks.delete(name))
  }

  async list(): Promise<StoreListing> {
    try {
      return await this.#listing.get()
    } catch (error) {
      throw storageError('read the store', this.#root, error)
    }
  }

  async close(): Promise<void> {
    await this.#listing.close()
  }

  async clearDropped(folder: DroppedFolder, taken: readonly string[]): Promise<void> {
    await clearDropped(folder, taken, this.#adapterFolder(folder.adapter))
  }

  async addRejection(rejection: Rejection): Promise<void> {
    await this.#changeRejections((rejections) => withRejection(rejections, rejection))
  }

  async clearRejections(adapter: string): Promise<void> {
    await this.#changeRejections((rejections) => withoutRejections(rejections, adapter))
  }

  async #changeRejections(change: Parameters<RejectionsFile['change']>[0]): Promise<void> {
    const job = (): Promise<void> => this.#rejections.change(change, this.#temporary())
    await this.#locked('rejections', 'all', this.#rejections.path, job)
  }

  /** Where a text is written before it takes its place. */
  #temporary(): string {
    return join(this.#root, '.staging', newTag())
  }

  #adapterFolder(adapter: string): string {
    checkName(adapter, 'adapter')
    return join(this.#root, 'adapters', adapter)
  }

  async #locked<T>(
    kind: 'adapter' | 'task' | 'rejections',
    name: string,
    path: string,
    job: () => Promise<T>,
  ): Promise<T> {
    try {
      return await withLock(join(this.#root, '.locks', `${kind}.${flat(name)}`), job)
    } catch (error) {
      throw storageError('change', path, error)
    }
  }

  /** A damaged folder in the way goes to the trash. */
  async #publish(staging: StagingFolder, document: VersionDocument): Promise<void> {
    const target = this.versionFolder(document.adapter, document.digest)
    await writeNewFile(join(staging.dir, VERSION_FILE), renderVersion(document))
    await makeAdapterFolder(join(this.#root, 'adapters'), document.adapter)
    const trash = (await exists(target)) ? join(this.#root, '.trash', newTag()) : null
    if (trash !== null) await rename(target, trash)
    await staging.publish(target)
    await flush(dirname(target))
    if (trash !== null) await removeTree(trash)
  }

  /** What can be read; damaged versions are reported by `list`. */
  async #readVersions(adapter: string): Promise<VersionDocument[]> {
    const dir = this.#adapterFolder(adapter)
    const folders = await readdir(dir).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return []
      throw error
    })
    const read = folders.filter(isDigestFolder).map(async (folder) => {
      return parseVersion(await readFile(join(dir, folder, VERSION_FILE), 'utf8'), adapter, folder)
    })
    return (await Promise.allSettled(read)).flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  }

  async #moveToTrash(folder: string, notFound: () => TroupeError): Promise<string> {
    const trash = join(this.#root, '.trash', newTag())
    try {
      await stat(join(this.#root, 'adapters'))
      await rename(folder, trash)
      await flush(dirname(folder))
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' && (await exists(this.#root))) throw notFound()
      throw error
    }
    return trash
  }
}

/** A name as a file name: `~` occurs in no name. */
function flat(name: string): string {
  return name.replace('/', '~')
}
