import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { CONFIG_FILE, WEIGHT_FILES } from '../adapters/files.ts'
import { TroupeError } from '../core/errors.ts'
import { TOKENIZER_FILES } from '../adapters/own-tokens.ts'
import { entryPath } from './archive-entry.ts'
import { archiveKind, isArchiveName, openArchive } from './archive.ts'
import { onDisk } from './disk.ts'
import { commonFolder } from './folder-report.ts'
import type { FolderSource } from './folder-source.ts'

/** Most files of one form. */
const MAX_FILES = 2_000

/** A file that came. */
interface Received {
  readonly bytes: number
  /** Where its content is; null = nobody will ask for it, and it was not kept. */
  readonly at: string | null
}

/**
 * Takes files as they come in a form, in any order, with or without folders in their names: those of an adapter, or one archive. Only what may
 * be taken is kept, in a hidden folder below `dir`.
 */
export class FormFiles {
  readonly #dir: string
  readonly #limitBytes: number
  readonly #files = new Map<string, Received>()
  #bytes = 0

  /** @param limitBytes of all files together */
  constructor(dir: string, limitBytes: number) {
    this.#dir = join(dir, '.received')
    this.#limitBytes = limitBytes
  }

  /**
   * Reads one file to its end.
   *
   * @throws TroupeError `invalid_request` for its name, `upload_too_large`
   */
  async add(name: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const path = entryPath(name)
    const shown = JSON.stringify(name.slice(0, 200))
    if (path === null) throw wrong(`${shown} is no file name`)
    if (this.#files.has(path)) throw wrong(`the form has the file ${shown} twice`)
    if (this.#files.size >= MAX_FILES) throw wrong(`the form has more than ${MAX_FILES} files`)
    const before = this.#bytes
    const at = mayBeTaken(path) ? join(this.#dir, String(this.#files.size)) : null
    this.#files.set(path, { bytes: 0, at })
    const counted = this.#counted(content, shown)
    if (at === null) for await (const chunk of counted) void chunk
    else await onDisk('write', path, () => this.#write(counted, at))
    this.#files.set(path, { bytes: this.#bytes - before, at })
  }

  /**
   * What came, as a folder.
   *
   * @throws TroupeError `invalid_request` when nothing came, or an archive beside other files; as `openArchive`
   */
  async source(): Promise<FolderSource> {
    if (this.#files.size === 0) throw wrong('the form has no files: send the config and the weights of one adapter')
    const archive = [...this.#files].find(([path]) => isArchiveName(path))
    if (archive !== undefined) return this.#archive(...archive)
    const entries = [...this.#files].map(([path, { bytes }]) => ({ path, bytes }))
    const root = commonFolder(entries)
    return {
      dir: null,
      entries: entries.map(({ path, bytes }) => ({ path: path.slice(root.length), bytes })),
      copy: (targets) =>
        onDisk('write', this.#dir, async () => {
          for (const [path, target] of targets) {
            await rename(this.#files.get(root + path)!.at!, target)
          }
        }),
    }
  }

  /** Removes what was not taken. */
  async clear(): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true })
  }

  async #write(content: AsyncIterable<Uint8Array>, at: string): Promise<void> {
    await mkdir(this.#dir, { recursive: true })
    await pipeline(content, createWriteStream(at, { flags: 'wx' }))
  }

  async #archive(path: string, { at }: Received): Promise<FolderSource> {
    if (this.#files.size > 1) {
      throw wrong(`${basename(path)} is an archive: send it alone, or the files of one adapter`)
    }
    const named = join(this.#dir, basename(path))
    await rename(at!, named)
    if ((await archiveKind(named)) === null) throw wrong(`${basename(path)} is neither zip nor tar nor tar.gz`)
    return openArchive(named, this.#limitBytes)
  }

  async *#counted(content: AsyncIterable<Uint8Array>, shown: string): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of content) {
      this.#bytes += chunk.byteLength
      if (this.#bytes > this.#limitBytes) {
        const message = `${shown} makes the upload larger than the configured limit of ${this.#limitBytes} bytes`
        throw new TroupeError('upload_too_large', message, { param: 'files' })
      }
      yield chunk
    }
  }
}

function mayBeTaken(path: string): boolean {
  const name = basename(path)
  const own = [CONFIG_FILE, ...TOKENIZER_FILES].includes(name)
  return own || Object.values(WEIGHT_FILES).includes(name) || isArchiveName(name)
}

function wrong(message: string): TroupeError {
  return new TroupeError('invalid_request', message, { param: 'files' })
}
