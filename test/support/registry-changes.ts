import type { Route } from '../../src/registry/records.ts'
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
/** Version numbers grow by a few in the life of a process: guesses among these often meet one. */
const NUMBERS = 16

/** Changes without end; the same for a seed. */
export function* changesOf(seed: number): Generator<Change, never, void> {
  const random = seededRandom(seed)
  const upTo = (count: number): number => 1 + Math.floor(random() * count)
  for (;;) {
    const point = random()
    if (point < 0.4) yield { type: 'upload', effect: upTo(EFFECTS) }
    else if (point < 0.55) yield { type: 'deleteVersion', version: upTo(NUMBERS) }
    else if (point < 0.75) yield { type: 'activate', version: upTo(NUMBERS) }
    else if (point < 0.85) yield { type: 'putTask' }
    else if (point < 0.92) yield { type: 'rollback' }
    else if (point < 0.96) yield { type: 'deleteTask' }
    else yield { type: 'deleteAdapter' }
  }
}
