import type { Told } from '../../support/store-changes.ts'

/** What one client knows of its adapter and its task. */
export interface Known {
  readonly adapter: string
  readonly task: string
  /** Digests by version number. */
  readonly versions: Map<number, string>
  /** Version the task routes to; null = there is no such task. */
  route: number | null
  /** The largest number ever given. */
  last: number
  /** A change that was begun and whose end nobody heard of. */
  pending: Told | null
}

/** What is found in the store. */
export interface Stored {
  readonly versions: ReadonlyMap<number, string>
  readonly route: number | null
}

/** Takes over what a process told, in order; returns what was told that cannot be. */
export function follow(known: Known, told: Told): string | null {
  known.pending = told.phase === 'begun' ? told : null
  if (told.phase !== 'acknowledged') return null
  const { change, result } = told
  switch (change.type) {
    case 'upload': {
      if (result === null || !('digest' in result)) return 'an upload without a result'
      const before = known.versions.get(result.version)
      if (before !== undefined) return before === result.digest ? null : `v${result.version} is now other bytes`
      if (result.version <= known.last) return `v${result.version} was given again, after v${known.last}`
      known.last = result.version
      known.versions.set(result.version, result.digest)
      return null
    }
    case 'deleteVersion':
      known.versions.delete(change.version)
      return null
    case 'deleteAdapter':
      known.versions.clear()
      return null
    case 'deleteTask':
      known.route = null
      return null
    case 'putTask':
    case 'activate':
    case 'rollback': {
      if (result === null || !('routes' in result)) return `${change.type} without a result`
      known.route = result.routes[0]?.version ?? null
      return known.route !== null && known.versions.has(known.route) ? null : `${told.task} was sent to v${known.route}`
    }
  }
}

/** Compares what a client knows with what the store has after the kill: its pending change may have happened or not. */
export function compare(known: Known, stored: Stored): string[] {
  const faults: string[] = []
  const type = known.pending?.change.type
  const target = known.pending && 'version' in known.pending.change ? known.pending.change.version : null
  for (const [version, digest] of known.versions) {
    const found = stored.versions.get(version)
    const mayBeGone = type === 'deleteAdapter' || (type === 'deleteVersion' && target === version)
    if (found === undefined && !mayBeGone) faults.push(`${known.adapter}@v${version} was acknowledged and is gone`)
    if (found !== undefined && found !== digest) faults.push(`${known.adapter}@v${version} is ${found}, not ${digest}`)
  }
  const unknown = [...stored.versions.keys()].filter((version) => !known.versions.has(version))
  const mayBeNew = type === 'upload' ? 1 : 0
  if (unknown.length > mayBeNew) faults.push(`${known.adapter} has v${unknown.join(', v')}, which nobody was told of`)
  if (unknown.some((version) => version <= known.last)) faults.push(`${known.adapter}: a deleted version came back`)
  if (stored.route !== null && !stored.versions.has(stored.route)) {
    faults.push(`${known.task} leads to v${stored.route}, which does not exist`)
  }
  const mayDiffer = type === 'putTask' || type === 'activate' || type === 'rollback' || type === 'deleteTask'
  if (stored.route !== known.route && !mayDiffer) {
    faults.push(`${known.task} leads to v${stored.route} and was acknowledged at v${known.route}`)
  }
  return faults
}
