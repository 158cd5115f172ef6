import type { ReadMetric } from './read-metric.ts'
import { counter, gauge } from './read-metric.ts'

/** Compilation of schemas and grammars; counters. */
export interface GrammarNumbers {
  readonly compiled: number
  readonly hits: number
  readonly refused: number
  readonly seconds: number
}

/** The look at the prepared weights after the start. */
export interface WeightsNumbers {
  readonly checkedBytes: number
  readonly damagedTensors: number
}

export const WEIGHTS_METRICS: readonly ReadMetric<WeightsNumbers>[] = [
  gauge('weights_checked_bytes', 'Bytes of the prepared weights compared with their digests.', (s) => s.checkedBytes),
  gauge('weights_damaged_tensors', 'Prepared tensors that have changed on disk.', (s) => s.damagedTensors),
]

export const GRAMMAR_METRICS: readonly ReadMetric<GrammarNumbers>[] = [
  counter('grammars_compiled_total', 'Schemas and grammars compiled.', (s) => s.compiled),
  counter('grammar_cache_hits_total', 'Schemas and grammars that were compiled already.', (s) => s.hits),
  counter('grammars_refused_total', 'Schemas and grammars refused.', (s) => s.refused),
  counter('grammar_compile_seconds_total', 'Seconds spent on compiling.', (s) => s.seconds),
]

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
