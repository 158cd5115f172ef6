import { TroupeError } from '../../../core/errors.ts'
import type { TextPort } from '../../../generation/ports.ts'
import { encodeConversation } from '../../../generation/conversation.ts'
import { encodePrompt, tokenPrompt } from '../../../generation/prompts.ts'
import type { EncodedPrompt } from '../../../generation/prompts.ts'
import { ofMix, resolveTarget, vocabularyOf } from '../../../generation/target.ts'
import type { Caller } from '../../../tenancy/roles.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { taking } from '../../fields/taking.ts'
import { chatMessages } from '../../wire/chat-messages.ts'
import { errorResponses } from '../../wire/common.ts'
import { templateWish } from '../../wire/prompt-fields.ts'
import { DetokenizeAnswer, DetokenizeBody, TokenizeAnswer, TokenizeBody } from './schema.ts'
import type { TokenizeRequest } from './schema.ts'

/** vLLM's paths come without `/v1`. */
const PREFIXES = ['/v1', '']

/** `POST /v1/tokenize`, `/v1/detokenize`, and the same without `/v1`: vLLM's calls. */
export function tokenizeRoutes(app: App, deps: ServerDeps): void {
  const { maxContext, strictRequests } = deps.settings

  for (const prefix of PREFIXES) {
    const { tokenize, detokenize } = schemasOf(prefix)
    const encoding = { schema: tokenize, ...taking('tokenize', tokenize, strictRequests) }
    app.post(`${prefix}/tokenize`, encoding, async ({ body, caller }) => {
      const { text } = mixOf(deps, caller, body.model)
      const ids = [...encode(text, body).tokens]
      return {
        ...{ count: ids.length, max_model_len: maxContext, tokens: ids },
        token_strs: body.return_token_strs ? ids.map((id) => text.tokenText(id)) : null,
      }
    })

    const decoding = { schema: detokenize, ...taking('detokenize', detokenize, strictRequests) }
    app.post(`${prefix}/detokenize`, decoding, async ({ body, caller }) => {
      const { text, vocab } = mixOf(deps, caller, body.model)
      if (body.tokens.length === 0) return { prompt: '' }
      const { tokens } = tokenPrompt(body.tokens, vocab, 'tokens')
      return { prompt: text.decode([...tokens]) }
    })
  }
}

/** The tokens of what `model` names; of the base model without one. */
function mixOf(
  deps: ServerDeps,
  caller: Caller,
  model: string | null | undefined,
): { readonly text: TextPort; readonly vocab: number } {
  const { info } = deps.engine
  if (!model) return { text: deps.text, vocab: info.vocab }
  const resolution = resolveTarget(deps.catalogue, caller, { model }, {})
  return { text: ofMix(deps, resolution).text, vocab: vocabularyOf(info, resolution) }
}

function schemasOf(prefix: string) {
  const name = (base: string): string => (prefix === '' ? `${base}AsVllm` : base)
  return {
    tokenize: {
      operationId: name('tokenize'),
      tags: ['text'],
      summary: 'Turn text into token ids',
      body: TokenizeBody,
      response: { 200: TokenizeAnswer, ...errorResponses(400, 401, 404, 409, 413, 415) },
    },
    detokenize: {
      operationId: name('detokenize'),
      tags: ['text'],
      summary: 'Turn token ids into text',
      body: DetokenizeBody,
      response: { 200: DetokenizeAnswer, ...errorResponses(400, 401, 404, 409, 413, 415) },
    },
  }
}

function encode(text: TextPort, body: TokenizeRequest): EncodedPrompt {
  const { prompt, messages, tools } = body
  if ((prompt ?? null) === null && messages)
    return encodeConversation(text, {
      ...{ messages: chatMessages(messages), task: null, tools: tools ?? [], begun: '' },
      template: templateWish(body),
    })
  if (typeof prompt !== 'string' || messages)
    throw new TroupeError('invalid_request', 'send exactly one of `prompt` and `messages`', { param: 'prompt' })
  const { value, mark } = body.parse_special === false ? text.inert(prompt) : { value: prompt, mark: null }
  return encodePrompt(text, value, { param: 'prompt', addSpecialTokens: body.add_special_tokens ?? true, mark })
}
