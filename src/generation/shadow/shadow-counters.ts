import { LRUCache } from 'lru-cache'
import type { Comparison } from './answer-recorder.ts'

export type ShadowResult = 'equal' | 'different' | 'failed' | 'dropped'

export interface ShadowCounts {
  readonly equal: number
  readonly different: number
  readonly failed: number
  readonly dropped: number
  readonly tokens: number
  readonly agreed: number
}

const NONE: ShadowCounts = { equal: 0, different: 0, failed: 0, dropped: 0, tokens: 0, agreed: 0 }
const MAX_SHADOWS = 1_000

/** What was found of every pair of a task and a shadow version since the start of the process. */
export class ShadowCounters {
  readonly #counts = new LRUCache<string, ShadowCounts>({ max: MAX_SHADOWS })

  of(task: string, digest: string): ShadowCounts {
    return this.#counts.get(`${task} ${digest}`) ?? NONE
  }

  /** @param comparison null where nothing could be compared */
  count(task: string, digest: string, result: ShadowResult, comparison: Comparison | null): void {
    const before = this.of(task, digest)
    this.#counts.set(`${task} ${digest}`, {
      ...before,
      [result]: before[result] + 1,
      tokens: before.tokens + (comparison?.tokens ?? 0),
      agreed: before.agreed + (comparison?.agreed ?? 0),
    })
  }
}
