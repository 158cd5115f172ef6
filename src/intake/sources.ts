import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { FolderEntry, FolderReport } from './folder-report.ts'
import type { FolderSource, RemoteFolder } from './folder-source.ts'
import { onDisk } from './disk.ts'
import { takeFiles } from './take-files.ts'

/** Most files of a place that are listed. */
const MAX_ENTRIES = 2_000
const MOST_MS = 600_000
/** Fetches at once; more are refused. */
const MOST_AT_ONCE = 4
const RETRY_SECONDS = 10

/** Opens one kind of place. What it throws says what was answered there. */
export type OpenRemote = (source: string, signal: AbortSignal) => Promise<RemoteFolder>

/** Each kind by how its sources begin. The clients take time to load, and most servers need none. */
const KINDS: readonly { readonly pattern: RegExp; readonly open: OpenRemote }[] = [
  {
    pattern: /^hf:[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*@[A-Za-z0-9][\w./-]*$/,
    open: async (...given) => (await import('./hub-folder.ts')).openHubFolder(...given),
  },
  {
    pattern: /^s3:\/\/[a-z0-9][a-z0-9.-]+(\/[^/]+)*\/?$/,
    open: async (...given) => (await import('./bucket-folder.ts')).openBucketFolder(...given),
  },
]

/** Places that versions may be fetched from, by reference instead of in a request's body. */
export class AdapterSources {
  readonly #allowed: readonly string[]
  #running = 0

  /** @param allowed places, each with all below it; none = nothing is fetched */
  constructor(allowed: readonly string[]) {
    this.#allowed = allowed
  }

  /**
   * Fetches an adapter's own files into a folder, within bounds of bytes, files and time.
   *
   * @param source `hf:organisation/name@revision` or `s3://bucket/prefix`
   * @param limitBytes of the files that are taken
   * @throws TroupeError `invalid_request`, `forbidden` for a place that is not allowed, `upload_too_large`, `overloaded`, `source_unavailable`, and as `reportFolder`
   */
  async fetch(source: string, dir: string, limitBytes: number, signal: AbortSignal): Promise<FolderReport> {
    const kind = KINDS.find(({ pattern }) => pattern.test(source))
    if (!kind || source.split('/').includes('..')) {
      const message = `${JSON.stringify(source.slice(0, 200))} is not a source: write hf:organisation/name@revision or s3://bucket/prefix`
      throw new TroupeError('invalid_request', message, { param: 'source' })
    }
    if (!this.#allowed.some((place) => isBelow(source, place))) throw this.#notAllowed(source)
    if (this.#running >= MOST_AT_ONCE) {
      const message = `${MOST_AT_ONCE} versions are being fetched already; repeat the request`
      throw new TroupeError('overloaded', message, { retryAfterSeconds: RETRY_SECONDS })
    }
    this.#running++
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(MOST_MS)])
      return await takeFiles(await bounded(await kind.open(source, within), source, limitBytes), dir)
    } catch (cause) {
      if (cause instanceof TroupeError) throw cause
      throw new TroupeError('source_unavailable', `cannot fetch ${source}: ${messageOf(cause)}`, {
        param: 'source',
        cause,
      })
    } finally {
      this.#running--
    }
  }

  #notAllowed(source: string): TroupeError {
    const places = this.#allowed.length === 0 ? 'none is' : `these are: ${this.#allowed.join(', ')}`
    const message = `${source} is not among the places that versions may be fetched from (${places}); the setting \`adapterSources\` adds some`
    return new TroupeError('forbidden', message, { param: 'source' })
  }
}

/** The same place, one inside it, or a revision of it. */
function isBelow(source: string, place: string): boolean {
  const root = place.replace(/\/$/, '')
  return source === root || source.startsWith(`${root}/`) || source.startsWith(`${root}@`)
}

async function bounded(folder: RemoteFolder, source: string, limitBytes: number): Promise<FolderSource> {
  const entries: FolderEntry[] = []
  for await (const entry of folder.files) {
    if (entries.push(entry) <= MAX_ENTRIES) continue
    const message = `${source} has more than ${MAX_ENTRIES} files: name the adapter’s own folder`
    throw new TroupeError('invalid_request', message, { param: 'source' })
  }
  if (entries.length === 0) throw new Error('there are no files')
  let left = limitBytes
  async function* counted(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of content) {
      left -= chunk.byteLength
      if (left < 0) {
        const message = `${source} is larger than the configured limit of ${limitBytes} bytes`
        throw new TroupeError('upload_too_large', message, { param: 'source' })
      }
      yield chunk
    }
  }
  return {
    dir: null,
    entries,
    copy: async (targets) => {
      for (const [path, target] of targets) {
        const content = counted(await folder.read(path))
        await onDisk('write', target, () => pipeline(content, createWriteStream(target, { flags: 'wx' })))
      }
    },
  }
}
