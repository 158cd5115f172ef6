import type { AdapterWeights } from '../core/branch.ts'
import type { ErrorCode } from '../core/errors.ts'
import { TroupeError } from '../core/errors.ts'
import { LoadFailures } from './load-failures.ts'
import { LoadRate } from './load-rate.ts'
import type { AdapterReader } from './loader-messages.ts'

/** Failures that say something about the bytes and not about the medium. */
const CONTENT_ERRORS: readonly ErrorCode[] = [
  'invalid_adapter',
  'unsupported_adapter',
  'pickle_refused',
  'base_mismatch',
]

/** Loads accepted versions from the store and sees to it that they are the bytes that were accepted. */
export class WeightsSource {
  readonly failures = new LoadFailures()
  readonly rate = new LoadRate()
  readonly #read: AdapterReader
  readonly #folderOf: (digest: string) => string | null
  readonly #settle: () => Promise<void>

  /**
   * @param folderOf where the files of a version are now; null = it was deleted
   * @param settle resolves when deletions in progress are known to `folderOf`
   */
  constructor(read: AdapterReader, folderOf: (digest: string) => string | null, settle: () => Promise<void>) {
    this.#read = read
    this.#folderOf = folderOf
    this.#settle = settle
  }

  /**
   * @param memory to be filled, where the weights are exactly as large
   * @throws TroupeError `digest_mismatch` naming the folder, `version_not_found`, `storage_error`
   */
  async load(digest: string, memory: SharedArrayBuffer | null = null): Promise<AdapterWeights> {
    this.failures.check(digest)
    try {
      const from = performance.now()
      const weights = await this.#load(digest, memory)
      this.rate.learn(weights.bytes, performance.now() - from)
      this.failures.forget(digest)
      return weights
    } catch (error) {
      throw this.failures.note(digest, error)
    }
  }

  async #load(digest: string, memory: SharedArrayBuffer | null): Promise<AdapterWeights> {
    for (;;) {
      const folder = this.#folderOf(digest)
      if (folder === null) throw new TroupeError('version_not_found', `version ${digest} was deleted meanwhile`)
      try {
        const { weights } = await this.#read(folder, memory)
        if (weights.digest === digest) return weights
        throw mismatch(folder, digest, `they now have the digest ${weights.digest}`)
      } catch (error) {
        // Deleted while it was read: the files moved to where they wait for their last user.
        await this.#settle()
        if (this.#folderOf(digest) !== folder) continue
        const isContent = error instanceof TroupeError && CONTENT_ERRORS.includes(error.code)
        throw isContent ? mismatch(folder, digest, error.message, error) : error
      }
    }
  }
}

function mismatch(folder: string, digest: string, detail: string, cause?: unknown): TroupeError {
  const message = `the files in ${folder} are not those that were accepted as ${digest}: ${detail}. Upload the version again`
  return new TroupeError('digest_mismatch', message, { param: folder, cause })
}
