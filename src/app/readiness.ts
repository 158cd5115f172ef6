import type { EngineStats } from '../core/messages.ts'
import type { Journal } from '../store/journal.ts'
import type { WeightsCheck } from './weights-check.ts'
import { damageText } from './weights-check.ts'

/** An engine that does not answer this long is stuck: the longest single run takes far less. */
const ENGINE_ANSWER_MS = 5000

/** Whether the server should get traffic, and what of it does not work. */
export interface Readiness {
  /** Why it should get none now; empty = it is ready. */
  readonly reasons: readonly string[]
  /** What does not work while it serves. */
  readonly degraded: readonly string[]
}

/** A server that lost its store goes on serving what it knows; it only refuses changes. */
export async function readinessOf(
  engine: { stats(): Promise<EngineStats> },
  journal: Pick<Journal, 'trouble' | 'unusable'>,
  weights: Pick<WeightsCheck, 'damaged' | 'trouble'>,
): Promise<Readiness> {
  const isUp = await answers(engine)
  const { trouble, unusable } = journal
  return {
    reasons: [
      ...(isUp ? [] : ['the engine does not answer']),
      ...(weights.damaged.length === 0 ? [] : [damageText(weights.damaged)]),
    ],
    degraded: [
      ...(trouble === null ? [] : [`the store cannot be used, changes are refused: ${trouble}`]),
      ...(weights.trouble === null ? [] : [`the weights could not be compared with their digests: ${weights.trouble}`]),
      ...unusable.map(({ key, message }) => `${key} in the journal cannot be used: ${message}`),
    ],
  }
}

async function answers(engine: { stats(): Promise<EngineStats> }): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ENGINE_ANSWER_MS)
  })
  const inTime = engine.stats().then(
    () => true,
    () => false,
  )
  return Promise.race([inTime, late]).finally(() => clearTimeout(timer))
}
