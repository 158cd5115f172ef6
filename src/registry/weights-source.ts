import { LRUCache } from 'lru-cache'
import type { AdapterWeights } from '../core/branch.ts'
import type { ErrorCode } from '../core/errors.ts'
import { TroupeError } from '../core/errors.ts'
import type { AdapterReader } from './loader-messages.ts'

/** Failures that say something about the bytes and not about the medium. */
const CONTENT_ERRORS: readonly ErrorCode[] = [
  'invalid_adapter',
  'unsupported_adapter',
  'pickle_refused',
  'base_mismatch',
]
const MAX_FAILURES = 10_000
const BACK_OFF_MS = 2_000

/** Loads accepted versions from the store and sees to it that they are the bytes that were accepted. */
export class WeightsSource {
  readonly #read: AdapterReader
  readonly #folderOf: (digest: string) => string | null
  readonly #settle: () => Promise<void>
  /** Altered versions are not read again by every request for them. */
  readonly #altered = new LRUCache<string, TroupeError>({ max: MAX_FAILURES, ttl: BACK_OFF_MS })

  /**
   * @param folderOf where the files of a version are now; null = it was deleted
   * @param settle resolves when deletions in progress are known to `folderOf`
   */
  constructor(read: AdapterReader, folderOf: (digest: string) => string | null, settle: () => Promise<void>) {
    this.#read = read
    this.#folderOf = folderOf
    this.#settle = settle
  }

  /** @throws TroupeError `digest_mismatch` naming the folder, `version_not_found`, `storage_error` */
  async load(digest: string): Promise<AdapterWeights> {
    const known = this.#altered.get(digest)
    if (known) throw known
    for (;;) {
      const folder = this.#folderOf(digest)
      if (folder === null) throw new TroupeError('version_not_found', `version ${digest} was deleted meanwhile`)
      try {
        const { weights } = await this.#read(folder)
        if (weights.digest === digest) return weights
        throw mismatch(folder, digest, `they now have the digest ${weights.digest}`)
      } catch (error) {
        // Deleted while it was read: the files moved to where they wait for their last user.
        await this.#settle()
        if (this.#folderOf(digest) !== folder) continue
        const failure = error instanceof TroupeError && CONTENT_ERRORS.includes(error.code)
        const known = failure ? mismatch(folder, digest, error.message, error) : error
        if (known instanceof TroupeError && known.code === 'digest_mismatch') this.#altered.set(digest, known)
        throw known
      }
    }
  }

  /** Forgets that a version was found altered: its files were put right. */
  forgive(digest: string): void {
    this.#altered.delete(digest)
  }
}

function mismatch(folder: string, digest: string, detail: string, cause?: unknown): TroupeError {
  const message = `the files in ${folder} are not those that were accepted as ${digest}: ${detail}. Upload the version again`
  return new TroupeError('digest_mismatch', message, { param: folder, cause })
}
