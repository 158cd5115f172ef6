import type { EngineStats } from '../core/messages.ts'
import { counter, gauge } from './read-metric.ts'
import type { ReadMetric } from './read-metric.ts'

/** Every figure of `EngineStats` that is not a tier's (its adapters are the tier `memory`). */
export const ENGINE_METRICS: readonly ReadMetric<EngineStats>[] = [
  gauge('engine_queued', 'Sequences that wait inside the engine for their first step.', (s) => s.queued),
  gauge('engine_running', 'Sequences that take part in steps.', (s) => s.running),
  gauge('engine_paused', 'Sequences that had to give their pages back and wait for others.', (s) => s.paused),
  gauge('engine_max_batch', 'Most sequences that run at once.', (s) => s.maxBatch),
  gauge('engine_kv_pages', 'Pages of keys and values.', (s) => s.pages),
  gauge('engine_kv_page_tokens', 'Tokens of one page.', (s) => s.pageTokens),
  gauge('engine_kv_pages_free', 'Pages with nothing in them.', (s) => s.pagesFree),
  gauge('engine_kv_pages_used', 'Pages that sequences use.', (s) => s.pagesUsed),
  gauge('engine_kv_pages_shared', 'Pages that more than one sequence uses.', (s) => s.pagesShared),
  gauge('engine_kv_pages_cached', 'Pages of ended sequences that later ones may begin with.', (s) => s.pagesCached),
  gauge('engine_kv_bytes', 'Bytes of all pages.', (s) => s.kvBytes),
  gauge(
    'engine_kv_tokens',
    'Tokens that running sequences have in pages; shared ones count for each.',
    (s) => s.kvTokens,
  ),
  gauge('engine_weight_bytes', 'Bytes of the base model, mapped from its file.', (s) => s.weightBytes),
  gauge('engine_scratch_bytes', 'Bytes that steps need besides.', (s) => s.scratchBytes),
  gauge('engine_adapters', 'Adapter versions in the engine’s memory.', (s) => s.adapters),
  gauge('engine_adapter_bytes', 'Bytes that they take there.', (s) => s.adapterBytes),
  counter('engine_adapter_loads_total', 'Adapter versions brought into the engine’s memory.', (s) => s.adapterLoads),
  counter('engine_adapter_load_failures_total', 'Adapter versions that it did not take.', (s) => s.adapterLoadFailures),
  counter(
    'prefix_cache_lookup_tokens_total',
    'Prompt tokens looked up among the pages.',
    (s) => s.prefixLookedUpTokens,
  ),
  counter(
    'prefix_cache_hit_tokens_total',
    'Prompt tokens found there and not evaluated again.',
    (s) => s.prefixFoundTokens,
  ),
  counter('prefix_cache_evictions_total', 'Cached pages that gave way to others.', (s) => s.prefixEvictions),
  counter('engine_copied_pages_total', 'Shared pages copied before a sequence wrote to them.', (s) => s.copiedPages),
  counter('engine_pauses_total', 'Times that a sequence had to give its pages back.', (s) => s.pauses),
  counter(
    'engine_recomputed_tokens_total',
    'Evaluated tokens given up by pauses and long ropes.',
    (s) => s.recomputedTokens,
  ),
  counter('engine_steps_total', 'Steps run.', (s) => s.steps),
  counter('engine_step_tokens_total', 'Tokens of all steps, guessed ones included.', (s) => s.stepTokens),
  counter(
    'engine_decode_rows_total',
    'Rows that got their next token: divided by the steps, the mean batch.',
    (s) => s.decodeRows,
  ),
  counter('engine_prompt_tokens_total', 'Prompt tokens evaluated.', (s) => s.promptTokens),
  counter(
    'engine_drafted_tokens_total',
    'Tokens guessed and verified by speculative decoding.',
    (s) => s.draftedTokens,
  ),
  counter('engine_accepted_tokens_total', 'Guessed tokens that the model chose too.', (s) => s.acceptedTokens),
  counter('grammar_masks_total', 'Masks of tokens computed for constrained answers.', (s) => s.masks),
  counter('grammar_mask_hits_total', 'Masks that an earlier step had left ready.', (s) => s.maskHits),
  counter('grammar_mask_seconds_total', 'Seconds spent on computing masks.', (s) => s.maskSeconds),
  counter('engine_step_seconds_total', 'Seconds inside the steps of the device.', (s) => s.stepSeconds),
  counter('engine_busy_seconds_total', 'Seconds the engine thread had work.', (s) => s.busySeconds),
]
