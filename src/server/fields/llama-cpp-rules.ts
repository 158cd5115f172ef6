import type { FieldRule } from './rule.ts'
import { empty, only, rulesOf } from './rule.ts'

const { ignored, refused } = rulesOf('llama.cpp')
const other = rulesOf('others')

const unpenalised: FieldRule['harmless'] = (value, body) =>
  value === -1 || ((body.repeat_penalty ?? body.repetition_penalty ?? 1) === 1 && !body.presence_penalty && !body.frequency_penalty) // prettier-ignore

/** Fields that llama.cpp’s server adds to OpenAI's bodies. */
export const LLAMA_CPP_RULES: readonly FieldRule[] = [
  ignored('cache_prompt', 'prompts are always cached'),
  ignored('id_slot', 'places are given out by the queue'),
  ignored('n_keep', 'nothing is dropped from a prompt'),
  ignored('n_discard', 'nothing is dropped from a prompt'),
  ignored('timings_per_token', 'times are in `provenance` and in the metrics'),
  ignored('return_progress', 'streams carry text only'),
  ignored('return_tokens', 'send `return_token_ids`'),
  ignored('response_fields', 'answers always have all of their fields', { harmless: empty }),
  ignored('reasoning_format', 'thoughts are not taken out of the text', { harmless: only('none') }),
  ignored('thinking_forced_open', 'the chat template decides'),
  ignored('parse_tool_calls', 'calls of the offered `tools` are always read'),
  ignored('xtc_threshold', 'it belongs to `xtc_probability`'),
  ignored('dry_base', 'it belongs to `dry_multiplier`'),
  ignored('dry_allowed_length', 'it belongs to `dry_multiplier`'),
  ignored('dry_penalty_last_n', 'it belongs to `dry_multiplier`'),
  ignored('dry_sequence_breakers', 'it belongs to `dry_multiplier`'),
  ignored('mirostat_tau', 'it belongs to `mirostat`'),
  ignored('mirostat_eta', 'it belongs to `mirostat`'),
  ignored('dynatemp_exponent', 'it belongs to `dynatemp_range`'),
  refused('samplers', 'the order of the samplers is fixed (docs/engine.md)'),
  refused('min_keep', 'the samplers keep what they keep: leave it out', { harmless: only(0, 1) }),
  refused('typical_p', 'typical sampling is not supported: use `top_p`', { harmless: only(1) }),
  refused('tfs_z', 'tail-free sampling is not supported: use `top_p`', { harmless: only(1) }),
  refused('top_n_sigma', 'it is not supported: use `min_p`', {
    harmless: (value) => typeof value === 'number' && value <= 0,
  }),
  refused('xtc_probability', 'it is not supported: send 0', { harmless: only(0) }),
  refused('dry_multiplier', 'it is not supported: use `repetition_penalty`', { harmless: only(0) }),
  refused('mirostat', 'it is not supported: use `top_p`', { harmless: only(0) }),
  refused('dynatemp_range', 'it is not supported: use `temperature`', { harmless: only(0) }),
  refused('repeat_last_n', 'penalties apply to the whole text: leave it out', { harmless: unpenalised }),
  refused('penalize_nl', 'penalties apply to every token: leave it out', { harmless: only(true) }),
  refused('n_indent', 'it is not supported: use `stop`', { harmless: only(0) }),
  refused('t_max_predict_ms', 'answers are bounded by `max_tokens`', {
    harmless: (value) => typeof value === 'number' && value <= 0,
  }),
  refused('post_sampling_probs', 'log-probabilities are those of the model', { harmless: only(false) }),
  refused('lora', 'adapters are named: send `adapters: [{"name": …, "scale": …}]`', { harmless: empty }),
  refused('image_data', 'the base model reads text', { harmless: empty }),

  other.refused('system', 'send it as the first of `messages`, with the role `system`', {
    apis: ['chat-completions', 'generate'],
  }),
  other.refused('max_new_tokens', 'send `max_tokens`'),
  other.refused('max_length', 'send `max_tokens`'),
  other.refused('stop_sequences', 'send `stop`', { harmless: empty }),
  other.refused('do_sample', 'send `temperature`: 0 is greedy'),
  other.refused('num_beams', 'beam search is not supported', { harmless: only(1) }),
  other.refused('enable_thinking', 'send `chat_template_kwargs: {"enable_thinking": …}`'),
  other.refused('thinking', 'send `chat_template_kwargs` with what the model’s template reads'),
  other.refused('model', 'the path already names the task', { apis: ['generate'] }),
]
