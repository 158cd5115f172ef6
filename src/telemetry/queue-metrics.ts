import type { ReadMetric } from './read-metric.ts'
import { counter, gauge } from './read-metric.ts'

/** Sequences and requests before they reach the engine. */
export interface QueueNumbers {
  readonly waiting: number
  readonly running: number
  readonly requests: number
  readonly shed: number
}

export const QUEUE_METRICS: readonly ReadMetric<QueueNumbers>[] = [
  gauge('queue_waiting', 'Sequences waiting for a place in the engine.', (s) => s.waiting),
  gauge('queue_running', 'Sequences holding a place in the engine.', (s) => s.running),
  gauge('open_requests', 'Generation requests open now.', (s) => s.requests),
  counter('requests_shed_total', 'Waiting requests of the heaviest tenant that made room for others.', (s) => s.shed),
]
