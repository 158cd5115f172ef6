import type { FieldRule } from './rule.ts'
import { empty, only, rulesOf } from './rule.ts'

const { ignored, refused } = rulesOf('vLLM')

/** Fields that vLLM adds to OpenAI's bodies. */
export const VLLM_RULES: readonly FieldRule[] = [
  ignored('priority', 'the queue is fair by tenant', { harmless: only(0) }),
  ignored('request_id', 'send the header `x-request-id`; the answer repeats it'),
  ignored('session_id', '`sticky_key` keeps a session on one version'),
  ignored('cache_salt', 'cached prompts are never shared between tenants'),
  ignored('kv_transfer_params', 'one process evaluates prompts and answers'),
  ignored('ec_transfer_params', 'one process evaluates prompts and answers'),
  ignored('vllm_xargs', 'there are no plug-ins that read it'),
  ignored('stream_interval', 'every token is sent as it comes'),
  ignored('stream_options.continuous_usage_stats', 'the usage comes with the last chunk', { harmless: only(false) }),
  ignored('spaces_between_special_tokens', 'the tokenizer’s own rule is followed'),
  ignored('length_penalty', 'it belongs to beam search'),
  ignored('early_stopping', 'it belongs to beam search'),
  ignored('include_reasoning', 'thoughts are not taken out of the text', { harmless: only(true) }),
  ignored('routed_experts_prompt_start', 'expert routes are not reported'),
  ignored('return_token_offsets', 'it belongs to another route', { harmless: only(false) }),
  ignored('return_prompt_text', 'prompts are not sent back as text; `return_token_ids` sends their ids', {
    harmless: only(false),
  }),
  ignored('return_mm_kwargs', 'the base model reads text'),
  ignored('media_io_kwargs', 'the base model reads text'),
  ignored('mm_processor_kwargs', 'the base model reads text'),
  refused('use_beam_search', 'beam search is not supported: leave it out or send `false`', { harmless: only(false) }),
  refused('min_tokens', 'the end of an answer cannot be put off: use `ignore_eos` with `max_tokens`', {
    harmless: only(0),
  }),
  refused('allowed_token_ids', 'the vocabulary cannot be cut down: use `logit_bias`', { harmless: empty }),
  refused('bad_words', 'words cannot be ruled out: use `logit_bias` for single tokens', { harmless: empty }),
  refused('logits_processors', 'no code of clients runs here', { harmless: empty }),
  refused('logprob_token_ids', 'only the best alternatives are reported: use `logprobs`', { harmless: empty }),
  refused('thinking_token_budget', 'thoughts are not told apart from the answer: use `max_tokens`', {
    harmless: only(-1),
  }),
  refused('repetition_detection', 'answers are not watched for repetition: use `max_tokens` or `stop`'),
  refused('watermarking', 'answers carry no watermark: leave it out', { harmless: only(false) }),
  refused('prompt_embeds', 'prompts are texts or token ids'),
  refused('chat_template', 'the base model’s template is used: send a `prompt` to `/v1/completions` instead'),
]
