import type { EngineStats } from '../core/messages.ts'
import type { RegistryStats } from '../registry/stats.ts'

/** An engine that does not answer this long is stuck: the longest single run takes far less. */
const ENGINE_ANSWER_MS = 5000

/** Why the server should get no traffic now; empty = it is ready. */
export async function readinessOf(
  engine: { stats(): Promise<EngineStats> },
  registry: { stats(): RegistryStats },
): Promise<readonly string[]> {
  const reasons: string[] = []
  if (!(await answers(engine))) reasons.push('the engine does not answer')
  const { storeError } = registry.stats()
  if (storeError !== null) reasons.push(`the store cannot be read: ${storeError}`)
  return reasons
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
