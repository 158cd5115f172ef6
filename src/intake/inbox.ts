import { mkdir, readdir, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isNamePart } from '../catalogue/names.ts'
import type { VersionRecord } from '../catalogue/version.ts'
import { refusedVersion } from '../catalogue/version.ts'
import type { ErrorCode } from '../core/errors.ts'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { errnoOf, storageError } from '../store/filesystem/durable.ts'
import type { Intake } from './intake.ts'

const ADAPTER_CONFIG = 'adapter_config.json'
/** Failures that come from the moment and not from the files: tried again. */
const PASSING: readonly ErrorCode[] = ['storage_error', 'overloaded', 'not_ready', 'internal']
const MAX_ATTEMPTS = 5

interface DroppedFile {
  readonly name: string
  readonly size: number
  readonly mtimeMs: number
}

interface DroppedFolder {
  readonly adapter: string
  readonly dir: string
  readonly files: readonly DroppedFile[]
}

interface Watched {
  readonly signature: string
  /** When this state of the files was first seen, in milliseconds. */
  readonly since: number
  attempts: number
  importing: boolean
  rejection: VersionRecord | null
}

/**
 * The folder into which people put adapters: `inbox/<adapter>/` or `inbox/<owner>/<adapter>/` with the files of one. They are taken once they have not changed
 * for a while, and removed once they are stored; what is refused stays, shows up as a rejected version, and is looked at again when its files change.
 */
export class Inbox {
  readonly #dir: string
  readonly #intake: Intake
  readonly #log: Log
  readonly #restMs: number
  readonly #watched = new Map<string, Watched>()
  readonly #imports = new Set<Promise<void>>()
  #imported = 0
  #trouble: string | null = null

  private constructor(dir: string, intake: Intake, log: Log, restMs: number) {
    this.#dir = dir
    this.#intake = intake
    this.#log = log
    this.#restMs = restMs
  }

  /**
   * Makes the folder if it is missing.
   * @param restMs how long files must not have changed before they are taken
   */
  static async open(dir: string, intake: Intake, log: Log, restMs: number): Promise<Inbox> {
    await mkdir(dir, { recursive: true }).catch((error: unknown) => {
      throw storageError('create', dir, error)
    })
    return new Inbox(dir, intake, log, restMs)
  }

  /** Versions imported since the start. */
  get imported(): number {
    return this.#imported
  }

  /** The refused folders as versions with the number 0: they were never accepted. */
  rejected(): VersionRecord[] {
    return [...this.#watched.values()].flatMap(({ rejection }) => (rejection ? [rejection] : []))
  }

  /**
   * Looks at the folder, and begins to import what came to rest; `settled` says when that has ended.
   * @param now milliseconds of a clock that never goes back
   */
  async look(now: number): Promise<void> {
    const folders = await this.#folders().catch((error: unknown) => this.#report(error))
    if (folders === null) return
    this.#trouble = null
    const present = new Set(folders.map(({ dir }) => dir))
    for (const [dir, { importing }] of this.#watched) if (!present.has(dir) && !importing) this.#watched.delete(dir)
    for (const folder of folders.filter((one) => this.#isReady(one, now))) {
      const work = this.#import(folder).finally(() => this.#imports.delete(work))
      this.#imports.add(work)
    }
  }

  /** Resolves when the imports in progress have ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#imports)
  }

  async #folders(): Promise<DroppedFolder[]> {
    const found: DroppedFolder[] = []
    for (const name of await foldersIn(this.#dir)) {
      const own = await dropped(name, join(this.#dir, name))
      if (own) found.push(own)
      else
        for (const part of await foldersIn(join(this.#dir, name))) {
          // A trainer's checkpoint is taken when somebody gives it a name of its own.
          if (/^checkpoint-\d+$/.test(part)) continue
          const owned = await dropped(`${name}/${part}`, join(this.#dir, name, part))
          if (owned) found.push(owned)
        }
    }
    return found
  }

  /** Says once what is wrong with the folder. */
  #report(error: unknown): null {
    const message = messageOf(error)
    if (message !== this.#trouble) this.#log.error({ err: error }, 'the inbox cannot be read')
    this.#trouble = message
    return null
  }

  #isReady(folder: DroppedFolder, now: number): boolean {
    const signature = JSON.stringify(folder.files)
    const known = this.#watched.get(folder.dir)
    if (known?.importing) return false
    if (known?.signature === signature) return !known.rejection && now - known.since >= this.#restMs
    this.#watched.set(folder.dir, { signature, since: now, attempts: 0, importing: false, rejection: null })
    return false
  }

  async #import(folder: DroppedFolder): Promise<void> {
    const { adapter, dir } = folder
    const watched = this.#watched.get(dir)
    if (!watched) return
    watched.importing = true
    try {
      const { staging, report } = await this.#intake.takeFolder(dir)
      const { record, created } = await this.#intake.add(adapter, staging, { source: 'folder', by: 'inbox' })
      this.#imported++
      if (!created)
        this.#log.info({ adapter, version: record.version, folder: dir }, 'a folder in the inbox is known already')
      await clear(
        folder,
        report.took.map(({ file }) => file),
      )
      this.#watched.delete(dir)
    } catch (error) {
      watched.attempts++
      const passing = !(error instanceof TroupeError) || PASSING.includes(error.code)
      if (passing && watched.attempts < MAX_ATTEMPTS) {
        this.#log.warn(
          { err: error, adapter, folder: dir },
          'a folder in the inbox could not be imported yet; trying again',
        )
        return
      }
      watched.rejection = rejectedFolder(folder, messageOf(error))
      this.#log.warn({ err: error, adapter, folder: dir }, 'a folder in the inbox was rejected')
    } finally {
      watched.importing = false
    }
  }
}

/** Names of the folders that may be those of adapters and owners; none where there is no such folder. */
async function foldersIn(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory() && isNamePart(entry.name)).map(({ name }) => name)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return []
    throw storageError('read', dir, error)
  }
}

/** A folder that holds an adapter's config, with its files; null = it is none. */
async function dropped(adapter: string, dir: string): Promise<DroppedFolder | null> {
  try {
    const names = await readdir(dir)
    if (!names.includes(ADAPTER_CONFIG)) return null
    const files = await Promise.all(
      names.sort().map(async (name) => {
        const { size, mtimeMs } = await stat(join(dir, name))
        return { name, size, mtimeMs }
      }),
    )
    return { adapter, dir, files }
  } catch (error) {
    // A file went away between listing and looking: the next look sees the folder as it then is.
    if (errnoOf(error) === 'ENOENT') return null
    throw storageError('read', dir, error)
  }
}

/** Removes the files that were stored, and the folder if nothing else is in it. */
async function clear({ adapter, dir, files }: DroppedFolder, taken: readonly string[]): Promise<void> {
  try {
    for (const { name, size, mtimeMs } of files) {
      if (!taken.includes(name)) continue
      const path = join(dir, name)
      const now = await stat(path)
      // Somebody put another file there meanwhile: that one was not stored.
      if (now.size === size && now.mtimeMs === mtimeMs) await rm(path)
    }
    await rmdir(dir)
    // The owner's folder goes with its last adapter.
    if (adapter.includes('/')) await rmdir(dirname(dir))
  } catch (error) {
    const code = errnoOf(error)
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') throw storageError('clear', dir, error)
  }
}

function rejectedFolder({ adapter, dir, files }: DroppedFolder, reason: string): VersionRecord {
  const newest = Math.max(0, ...files.map(({ mtimeMs }) => mtimeMs))
  const createdAt = new Date(newest).toISOString()
  return refusedVersion({ adapter, reason: `${dir}: ${reason}`, createdAt, source: 'folder' })
}
