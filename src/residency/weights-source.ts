import type { AdapterWeights } from '../core/branch.ts'
import type { ErrorCode } from '../core/errors.ts'
import { TroupeError } from '../core/errors.ts'
import type { BlobId, LocalBlobs } from '../store/blobs.ts'
import { LoadFailures } from './load-failures.ts'
import { LoadRate } from './load-rate.ts'
import type { AdapterReader } from './loader-messages.ts'

/** Failures that say something about the bytes and not about the medium. */
const CONTENT_ERRORS: readonly ErrorCode[] = [
  'invalid_adapter',
  'unsupported_adapter',
  'pickle_refused',
  'base_mismatch',
  'digest_mismatch',
]

/** Loads accepted versions from the store and sees to it that they are the bytes that were accepted. */
export class WeightsSource {
  readonly failures = new LoadFailures()
  readonly rate = new LoadRate()
  readonly #read: AdapterReader
  readonly #blobs: LocalBlobs
  readonly #blobOf: (digest: string) => BlobId | null

  /** @param blobOf which files a version has now; null = it was deleted */
  constructor(read: AdapterReader, blobs: LocalBlobs, blobOf: (digest: string) => BlobId | null) {
    this.#read = read
    this.#blobs = blobs
    this.#blobOf = blobOf
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
    for (let isFirst = true; ; isFirst = false) {
      const id = this.#blobOf(digest)
      if (id === null) throw new TroupeError('version_not_found', `version ${digest} was deleted meanwhile`)
      const folder = await this.#blobs.folder(id)
      try {
        const { weights } = await this.#read(folder, memory)
        if (weights.digest === digest) return weights
        throw mismatch(folder, digest, `they now have the digest ${weights.digest}`)
      } catch (error) {
        // Deleted, or put right under another id, while it was read.
        if (this.#blobOf(digest)?.blob !== id.blob) continue
        const isContent = error instanceof TroupeError && CONTENT_ERRORS.includes(error.code)
        // A copy on this machine may be what is wrong: the store is asked once more.
        if (isContent && (await this.#blobs.discard(id)) && isFirst) continue
        throw isContent && error.code !== 'digest_mismatch' ? mismatch(folder, digest, error.message, error) : error
      }
    }
  }
}

function mismatch(folder: string, digest: string, detail: string, cause?: unknown): TroupeError {
  const message = `the files in ${folder} are not those that were accepted as ${digest}: ${detail}. Upload the version again`
  return new TroupeError('digest_mismatch', message, { param: folder, cause })
}
