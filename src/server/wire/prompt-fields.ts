import { Type } from 'typebox'
import type { Static, TObject } from 'typebox'
import { TroupeError } from '../../core/errors.ts'
import type { TemplateWish } from '../../generation/conversation.ts'
import type { TextPort } from '../../generation/ports.ts'
import type { EncodedPrompt } from '../../generation/prompts.ts'
import { truncatePrompt } from '../../generation/prompts.ts'
import { Maybe } from './common.ts'

const AnyObject = Type.Record(Type.String(), Type.Unknown())

/** How a text becomes tokens, in every API that takes prompts. */
export const EncodingFields = {
  add_special_tokens: Maybe(
    Type.Boolean({
      description: 'Let the tokenizer add its own tokens; default: for a prompt, not where a chat template is used.',
    }),
  ),
  parse_special: Maybe(
    Type.Boolean({
      description: 'Special tokens written in the text count as such; default: in a raw `prompt`, not in messages.',
    }),
  ),
}

export const TruncationFields = {
  truncate_prompt_tokens: Maybe(Type.Integer({ minimum: 1, description: 'Tokens to which a longer prompt is cut.' })),
  truncation_side: Maybe(
    Type.Enum(['left', 'right'], { description: 'Which end is cut off; default `left`: the last tokens stay.' }),
  ),
}

/** How a conversation becomes a prompt. */
export const TemplateFields = {
  chat_template_kwargs: Maybe(
    Type.Record(Type.String(), Type.Unknown(), {
      description: 'Variables for the base model’s chat template, such as `enable_thinking`.',
    }),
  ),
  reasoning_effort: Maybe(Type.String({ maxLength: 32, description: 'A variable for the chat template.' })),
  documents: Maybe(Type.Array(AnyObject, { description: 'Texts for chat templates that have a place for them.' })),
  add_generation_prompt: Maybe(Type.Boolean({ description: 'End where an answer begins; the default.' })),
  continue_final_message: Maybe(Type.Boolean({ description: 'The answer goes on with the last message.' })),
  ...EncodingFields,
}
export type TemplateBody = Static<TObject<typeof TemplateFields>>

/** Names the server gives the template itself. */
const OWN_VARIABLES = ['messages', 'tools', 'documents', 'add_generation_prompt']

/** @throws TroupeError `invalid_request` for variables that are the server's own */
export function templateWish(body: TemplateBody): TemplateWish {
  const given = body.chat_template_kwargs ?? {}
  const own = OWN_VARIABLES.find((name) => Object.hasOwn(given, name))
  if (own !== undefined) {
    const param = `chat_template_kwargs.${own}`
    throw new TroupeError('invalid_request', `\`${param}\` is set by the server: send \`${own}\` itself`, { param })
  }
  return {
    variables: { ...given, ...(body.reasoning_effort ? { reasoning_effort: body.reasoning_effort } : {}) },
    documents: body.documents,
    addGenerationPrompt: body.add_generation_prompt,
    continueFinal: body.continue_final_message,
    addSpecialTokens: body.add_special_tokens,
    parseSpecial: body.parse_special,
  }
}

/** Those of the fields that the base model's chat template makes nothing of. */
export function unreadByTemplate(body: TemplateBody, text: Pick<TextPort, 'templateReads'>): readonly string[] {
  const variables = Object.keys(body.chat_template_kwargs ?? {}).filter((name) => !text.templateReads(name))
  const rest = (['reasoning_effort', 'documents'] as const).filter((name) => body[name] && !text.templateReads(name))
  return [...variables.map((name) => `chat_template_kwargs.${name}`), ...rest]
}

/** The prompt as it is left by the truncation asked for. */
export function truncated(prompt: EncodedPrompt, body: Static<TObject<typeof TruncationFields>>): EncodedPrompt {
  const { truncate_prompt_tokens: limit, truncation_side: side } = body
  return limit ? truncatePrompt(prompt, limit, side ?? 'left') : prompt
}
