import type { FieldRule } from './rule.ts'
import { empty, only, rulesOf } from './rule.ts'

const { ignored, refused } = rulesOf('OpenAI')
const CHAT = { apis: ['chat-completions'] as const }
const RESPONSES = { apis: ['responses'] as const }
const MESSAGES = { apis: ['chat-completions', 'generate', 'tokenize'] as const }
const BOTH = { apis: ['chat-completions', 'responses'] as const }

/** Fields of OpenAI's request bodies. */
export const OPENAI_RULES: readonly FieldRule[] = [
  ignored('metadata', 'answers are not stored, so there is nothing to attach it to', {
    apis: ['chat-completions', 'completions', 'generate'],
  }),
  ignored('store', 'answers are never stored', { harmless: only(false) }),
  ignored('service_tier', 'there is one tier; shares are set per tenant'),
  ignored('safety_identifier', 'end users are not tracked; `user` serves as the sticky key'),
  ignored('prompt_cache_key', 'prompts are cached by their content, per tenant'),
  ignored('prompt_cache_retention', 'prompts are cached as long as memory allows'),
  ignored('prompt_cache_options', 'prompts are cached by their content, per tenant'),
  ignored('stream_options.include_obfuscation', 'chunks are not padded', { harmless: only(false) }),
  ignored('prediction', 'a predicted text could only save time; drafts come from the prompt instead', CHAT),
  ignored('verbosity', 'no chat template reads it', { ...BOTH, harmless: only('medium') }),
  refused('modalities', 'this server answers with text: send `["text"]` or leave it out', {
    ...CHAT,
    harmless: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
  }),
  refused('audio', 'this server answers with text: leave it out', CHAT),
  refused('functions', 'send `tools` instead', { ...CHAT, harmless: empty }),
  refused('function_call', 'send `tool_choice` instead', { ...CHAT, harmless: only('none', 'auto') }),
  refused('web_search_options', 'this server searches nothing: offer the search as one of `tools`', CHAT),
  refused('moderation', 'nothing is moderated here: check the texts before and after', BOTH),
  refused('suffix', 'insertion is not supported: put all text into `prompt`', {
    apis: ['completions'],
    harmless: empty,
  }),

  ignored('messages[].annotations', 'the text they belong to is in `content`', { ...MESSAGES, harmless: empty }),
  ignored('messages[].parsed', 'the text it was read from is in `content`', MESSAGES),
  ignored('messages[].provider_specific_fields', 'clients add it to answers they send back', MESSAGES),
  ignored('messages[].tool_calls[].index', 'the order of the list counts', MESSAGES),
  ignored('messages[].tool_calls[].function.parsed_arguments', '`arguments` is read', MESSAGES),
  refused('messages[].audio', 'the base model reads text: send the transcript as `content`', MESSAGES),
  refused('messages[].function_call', 'send `tool_calls` instead', MESSAGES),
  ignored('messages[].content[].cache_control', 'prompts are cached by their content', MESSAGES),
  ignored('messages[].content[].annotations', 'the text they belong to is beside them', MESSAGES),
  ignored('messages[].content[].logprobs', 'the text they belong to is beside them', MESSAGES),
  ignored('messages[].content[].signature', 'thoughts in the history are not verified', MESSAGES),
  ignored('messages[].cache_control', 'prompts are cached by their content', MESSAGES),
  ignored('tools[].cache_control', 'prompts are cached by their content', CHAT),
  ignored('tools[].defer_loading', 'every tool is shown to the model', BOTH),

  refused('previous_response_id', 'answers are not stored: send the whole conversation as `input`', RESPONSES),
  refused('conversation', 'conversations are not stored: send all of it as `input`', RESPONSES),
  refused('prompt', 'prompts are not stored here: send `instructions` and `input`', RESPONSES),
  refused('background', 'an answer exists only while it is sent: leave it out or send `false`', {
    ...RESPONSES,
    harmless: only(false),
  }),
  refused('n', 'a response has one answer: leave it out', { ...RESPONSES, harmless: only(1) }),
  ignored('input[].status', 'what is sent as input is complete', RESPONSES),
  ignored('input[].id', 'items are not stored', RESPONSES),
  ignored('input[].content[].annotations', 'the text they belong to is beside them', RESPONSES),
  ignored('input[].content[].logprobs', 'the text they belong to is beside them', RESPONSES),
  ignored('input[].encrypted_content', 'thoughts of other models cannot be read', RESPONSES),
  ignored('input[].parsed_arguments', '`arguments` is read', RESPONSES),
  refused('context_management', 'the context is never compacted: shorten `input` yourself', {
    ...RESPONSES,
    harmless: empty,
  }),
  refused('truncation', 'nothing is dropped from the input: shorten it, and leave this out', {
    ...RESPONSES,
    harmless: only('disabled'),
  }),
  refused('max_tool_calls', 'this server runs no tools itself', RESPONSES),
  ignored('reasoning.summary', 'thoughts are not summarised', RESPONSES),
  ignored('reasoning.generate_summary', 'thoughts are not summarised', RESPONSES),
  ignored('text.verbosity', 'no chat template reads it', { ...RESPONSES, harmless: only('medium') }),
]
