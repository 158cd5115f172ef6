import type { Route } from '../../src/catalogue/task.ts'
import { seededRandom } from '../chaos/scenarios/scale.ts'

/** A change a client asks for. */
export type Change =
  | { readonly type: 'upload'; readonly effect: number }
  | { readonly type: 'deleteVersion' | 'activate'; readonly version: number }
  | { readonly type: 'deleteAdapter' | 'putTask' | 'rollback' | 'deleteTask' }

/** What a process says about a change. `begun` without an end: it may have happened or not. */
export interface Told {
  readonly client: number
  readonly id: number
  readonly adapter: string
  readonly task: string
  readonly change: Change
  readonly phase: 'begun' | 'acknowledged' | 'refused'
  readonly result:
    | { readonly version: number; readonly digest: string }
    | { readonly routes: readonly Pick<Route, 'adapter' | 'version'>[] }
    | null
}

const EFFECTS = 12
const ENOUGH = 4
/**
 * Changes without end.
 * @param versions numbers the adapter has at the moment: some changes are about one of them
 */
export function* changesOf(seed: number, versions: () => readonly number[]): Generator<Change, never, void> {
  const random = seededRandom(seed)
  const upTo = (count: number): number => 1 + Math.floor(random() * count)
  const anyVersion = (): number => {
    const known = versions()
    return known[upTo(known.length) - 1] ?? 1
  }
  for (;;) {
    // Uploads take longest: with enough versions there, other changes take their place.
    const point = versions().length < ENOUGH ? random() : 0.4 + 0.6 * random()
    if (point < 0.4) yield { type: 'upload', effect: upTo(EFFECTS) }
    else if (point < 0.55) yield { type: 'deleteVersion', version: anyVersion() }
    else if (point < 0.75) yield { type: 'activate', version: anyVersion() }
    else if (point < 0.85) yield { type: 'putTask' }
    else if (point < 0.92) yield { type: 'rollback' }
    else if (point < 0.96) yield { type: 'deleteTask' }
    else yield { type: 'deleteAdapter' }
  }
}
