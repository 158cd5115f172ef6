import type { Version } from '../catalogue/version.ts'
import { TroupeError } from '../core/errors.ts'
import type { Draining } from './draining.ts'
import { MAX_DRAIN_SECONDS } from './draining.ts'
import type { Leases } from './leases.ts'

/** `draining`: it is deleted for all new requests; running ones keep its bytes until they end, or until the deadline ends them. */
export type Deletion =
  | { readonly status: 'deleted' }
  /** `deadline` is an ISO time. */
  | { readonly status: 'draining'; readonly deadline: string; readonly holders: number }

/** What became of versions that were deleted. */
export function deletionOf(versions: readonly Version[], draining: Draining, leases: Leases): Deletion {
  const deadlines = versions.flatMap((version) => draining.deadline(version) ?? [])
  const deadline = deadlines.sort().at(-1)
  if (deadline === undefined) return { status: 'deleted' }
  return { status: 'draining', deadline, holders: holdersOf(versions, leases) }
}

/**
 * Refuses a deletion without draining while requests hold the versions.
 * @throws TroupeError `invalid_request`, `adapter_in_use` with the number of requests
 */
export function refuseHeld(what: string, versions: readonly Version[], drainSeconds: number, leases: Leases): void {
  if (!Number.isFinite(drainSeconds) || drainSeconds < 0 || drainSeconds > MAX_DRAIN_SECONDS) {
    const message = `drain_seconds must be from 0 to ${MAX_DRAIN_SECONDS}`
    throw new TroupeError('invalid_request', message, { param: 'drain_seconds' })
  }
  const holders = drainSeconds === 0 ? holdersOf(versions, leases) : 0
  if (holders === 0) return
  const message = `${what} cannot be deleted without draining: ${holders} ${holders === 1 ? 'request uses' : 'requests use'} it`
  throw new TroupeError('adapter_in_use', `${message}; give them time with drain_seconds, or repeat later`)
}

function holdersOf(versions: readonly Version[], leases: Leases): number {
  return versions.reduce((sum, version) => sum + leases.holders(version), 0)
}
