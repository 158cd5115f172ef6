import type { EngineStats } from '../core/messages.ts'
import { counter, gauge } from './read-metric.ts'
import type { ReadMetric } from './read-metric.ts'

/** Every figure of `EngineStats` that is not a tier's (the bank is the tier `device`). */
export const ENGINE_METRICS: readonly ReadMetric<EngineStats>[] = [
  gauge('engine_queued', 'Sequences waiting inside the engine.', (s) => s.queued),
  gauge('engine_running', 'Sequences holding a slot.', (s) => s.running),
  gauge('engine_slots', 'Slots of the batch.', (s) => s.slots),
  gauge('engine_kv_tokens', 'Tokens held in the KV cache.', (s) => s.kvTokens),
  gauge('engine_kv_capacity_tokens', 'Tokens the KV cache can hold.', (s) => s.kvCapacityTokens),
  gauge('engine_graphs', 'Compiled graphs.', (s) => s.graphs),
  gauge('engine_graph_bytes', 'Bytes of weights that the compiled graphs hold.', (s) => s.graphBytes),
  gauge('prefix_cache_bytes', 'Bytes of evaluated prompts kept for later requests.', (s) => s.prefixBytes),
  gauge('prefix_cache_budget_bytes', 'Byte limit of the prefix cache.', (s) => s.prefixBudgetBytes),
  counter(
    'prefix_cache_lookup_tokens_total',
    'Prompt tokens looked up in the prefix cache.',
    (s) => s.prefixLookedUpTokens,
  ),
  counter(
    'prefix_cache_hit_tokens_total',
    'Prompt tokens found there and not evaluated again.',
    (s) => s.prefixFoundTokens,
  ),
  counter('prefix_cache_evictions_total', 'Blocks pushed out of the prefix cache.', (s) => s.prefixEvictions),
  counter('engine_decode_steps_total', 'Decode steps run.', (s) => s.decodeSteps),
  counter('engine_decode_rows_total', 'Rows decoded: divided by the steps, the mean batch.', (s) => s.decodeRows),
  counter('engine_prefill_runs_total', 'Prefill chunks run.', (s) => s.prefillRuns),
  counter('engine_prefill_tokens_total', 'Prompt tokens evaluated.', (s) => s.prefillTokens),
  counter(
    'engine_drafted_tokens_total',
    'Tokens guessed and verified by speculative decoding.',
    (s) => s.draftedTokens,
  ),
  counter('engine_accepted_tokens_total', 'Guessed tokens that the model chose too.', (s) => s.acceptedTokens),
  counter('grammar_masks_total', 'Masks of tokens computed for constrained answers.', (s) => s.masks),
  counter('grammar_mask_hits_total', 'Masks that an earlier step had left ready.', (s) => s.maskHits),
  counter('grammar_mask_seconds_total', 'Seconds spent on computing masks.', (s) => s.maskSeconds),
  counter('engine_run_seconds_total', 'Seconds spent inside ONNX Runtime.', (s) => s.runSeconds),
  counter('engine_busy_seconds_total', 'Seconds the engine thread had work.', (s) => s.busySeconds),
]
