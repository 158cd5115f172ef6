import { LRUCache } from 'lru-cache'
import { TroupeError } from '../core/errors.ts'

const MAX_REMEMBERED = 10_000
/** Tries to load bytes that are wrong before they are given up. */
export const MAX_TRIES = 5
const FIRST_BACK_OFF_MS = 500
const MAX_BACK_OFF_MS = 60_000
/** A medium comes back without notice: its failures are retried soon, and for ever. */
const MAX_MEDIUM_BACK_OFF_MS = 2_000

interface Failure {
  readonly tries: number
  /** `performance.now()` before which nobody tries again. */
  readonly until: number
  readonly error: TroupeError
  readonly final: boolean
}

/**
 * Loads that failed: not tried again by every request, but after a pause that doubles each time. Bytes that are not those that were
 * accepted are `failed` for good after some tries; what the medium did is not.
 */
export class LoadFailures {
  readonly #failures = new LRUCache<string, Failure>({ max: MAX_REMEMBERED })
  readonly #now: () => number

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Versions given up for good. */
  get finalCount(): number {
    let count = 0
    for (const { final } of this.#failures.values()) if (final) count++
    return count
  }

  /** Throws what the last try failed with, while it is too early for the next. */
  check(digest: string): void {
    const failure = this.#failures.get(digest)
    if (failure && (failure.final || this.#now() < failure.until)) throw failure.error
  }

  /** Why a version was given up; null = it was not. */
  finalReason(digest: string): string | null {
    const failure = this.#failures.peek(digest)
    return failure?.final ? failure.error.message : null
  }

  /** @returns what is to be thrown */
  note(digest: string, error: unknown): unknown {
    if (!(error instanceof TroupeError)) return error
    const { code } = error
    const isContent = code === 'digest_mismatch'
    if (!isContent && code !== 'storage_error' && code !== 'internal') return error
    const tries = (this.#failures.peek(digest)?.tries ?? 0) + 1
    const final = isContent && tries >= MAX_TRIES
    const known = final ? givenUp(error, tries) : error
    const longest = isContent ? MAX_BACK_OFF_MS : MAX_MEDIUM_BACK_OFF_MS
    // The first failure of the medium is tried again at once: it was often a matter of a moment.
    const pause = isContent || tries > 1 ? Math.min(longest, FIRST_BACK_OFF_MS * 2 ** (tries - 1)) : 0
    this.#failures.set(digest, { tries, until: this.#now() + pause, error: known, final })
    return known
  }

  /** It was loaded, put right, or somebody wants it to be tried now. */
  forget(digest: string): void {
    this.#failures.delete(digest)
  }
}

function givenUp(error: TroupeError, tries: number): TroupeError {
  const message = `${error.message}. It failed ${tries} times and is not tried again before that, or before a retry is asked for`
  return new TroupeError(error.code, message, {
    ...(error.param === undefined ? {} : { param: error.param }),
    cause: error,
  })
}
