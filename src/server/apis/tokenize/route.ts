import { Type } from 'typebox'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { encodePrompt, renderMessages, tokenPrompt } from '../../../generation/prompts.ts'
import { TroupeError } from '../../../core/errors.ts'
import { Strict, errorResponses } from '../../wire/common.ts'
import { chatMessages } from '../../wire/chat-messages.ts'
import { ChatMessages } from '../../wire/messages.ts'

const tokenizeSchema = {
  operationId: 'tokenize',
  tags: ['text'],
  summary: 'Turn text into token ids',
  body: Strict(
    {
      prompt: Type.Optional(Type.String()),
      messages: Type.Optional(ChatMessages),
      add_special_tokens: Type.Optional(Type.Boolean({ description: 'For `prompt`; default true.' })),
    },
    { title: 'TokenizeRequest', description: 'Exactly one of `prompt` and `messages`.' },
  ),
  response: {
    200: Strict(
      { tokens: Type.Array(Type.Integer()), count: Type.Integer(), max_context: Type.Integer() },
      { title: 'TokenizeAnswer', description: 'The ids.' },
    ),
    ...errorResponses(400, 401, 413, 415),
  },
}

const detokenizeSchema = {
  operationId: 'detokenize',
  tags: ['text'],
  summary: 'Turn token ids into text',
  body: Strict({ tokens: Type.Array(Type.Integer({ minimum: 0 })) }, { title: 'DetokenizeRequest' }),
  response: {
    200: Strict({ text: Type.String() }, { title: 'DetokenizeAnswer', description: 'The text.' }),
    ...errorResponses(400, 401, 413, 415),
  },
}

/** `POST /v1/tokenize`, `POST /v1/detokenize` */
export function tokenizeRoutes(app: App, deps: ServerDeps): void {
  const { maxContext } = deps.settings

  app.post('/v1/tokenize', { schema: tokenizeSchema }, async ({ body }) => {
    const { prompt, messages, add_special_tokens: special = true } = body
    if ((prompt === undefined) === (messages === undefined))
      throw new TroupeError('invalid_request', 'send exactly one of `prompt` and `messages`', { param: 'prompt' })
    const { tokens } =
      prompt === undefined
        ? encodePrompt(deps.text, renderMessages(deps.text, chatMessages(messages ?? []), null), false, 'messages')
        : encodePrompt(deps.text, prompt, special, 'prompt')
    return { tokens: [...tokens], count: tokens.length, max_context: maxContext }
  })

  app.post('/v1/detokenize', { schema: detokenizeSchema }, async ({ body }) => {
    const { tokens } = tokenPrompt(body.tokens, deps.engine.info.vocab, 'tokens')
    return { text: deps.text.decode([...tokens]) }
  })
}
