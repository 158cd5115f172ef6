import type { FastifyRequest } from 'fastify'
import { TroupeError } from '../../../core/errors.ts'
import type { App } from '../../app.ts'
import type { RouteDeps } from '../../deps.ts'
import { chatFormat } from './format.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import { completePlan } from '../../../generation/planning.ts'
import { encodePrompt, renderMessages } from '../../../generation/prompts.ts'
import { resolveTarget } from '../../../generation/target.ts'
import type { ToolOffer } from '../../../generation/tool-offer.ts'
import { offeredTools, toolNames } from '../../../generation/tool-offer.ts'
import { respond } from '../../wire/respond.ts'
import { AnswerContent } from '../../wire/answer.ts'
import { ChatAnswer, ChatBody } from './schema.ts'
import type { ChatRequest } from './schema.ts'
import { errorResponses } from '../../wire/common.ts'
import { chatMessages } from '../../wire/chat-messages.ts'
import { mixWish, samplingWish } from '../../wire/sampling.ts'
import { includeUsage } from '../../wire/stream-options.ts'

/** OpenAI's own defaults for this route: an answer may take all of the context. */
const DEFAULTS = { temperature: 1, maxTokens: null }

const schema = {
  operationId: 'createChatCompletion',
  tags: ['openai'],
  summary: 'Answer a conversation (OpenAI’s chat completions)',
  body: ChatBody,
  response: {
    200: AnswerContent(ChatAnswer, 'The answers, `n` of them.'),
    ...errorResponses(400, 401, 404, 409, 410, 413, 415, 429, 500, 503),
  },
}

/** `POST /v1/chat/completions` */
export function chatRoutes(app: App, deps: RouteDeps): void {
  app.post('/v1/chat/completions', { schema }, async (request, reply) => {
    const { body } = request
    const offer = offeredTools(body.tools ?? null, body.tool_choice ?? null, deps.text)
    const plan = planChat(deps, request, body, offer)
    const shape = {
      model: body.model,
      tokenIds: body.return_token_ids ?? false,
      includeUsage: includeUsage(body),
      scanner: () => (offer ? deps.text.toolScanner(new Set(toolNames(offer.tools)), offer.begun) : null),
    }
    return respond(deps, request, reply, plan, chatFormat(plan, shape, deps.text), body.stream ?? false)
  })
}

function planChat(
  deps: RouteDeps,
  request: FastifyRequest,
  body: ChatRequest,
  offer: ToolOffer | null,
): GenerationPlan {
  const { model } = body
  const resolution = resolveTarget(deps.registry, request.caller, { model }, mixWish(body))
  const rendered = renderMessages(deps.text, chatMessages(body.messages), resolution.task, offer?.tools)
  return completePlan(deps, request, {
    label: { task: null, model },
    resolution,
    // The chat template writes the special tokens itself.
    prompts: [encodePrompt(deps.text, rendered + (offer?.begun ?? ''), false, 'messages')],
    wish: samplingWish(body, maxTokensOf(body)),
    n: body.n ?? 1,
    ignoreEos: body.ignore_eos ?? false,
    fallback: DEFAULTS,
    logprobs: logprobsOf(body),
    promptLogprobs: false,
    shown: offer ? deps.text.toolMarkers : [],
  })
}

/** `max_tokens` is the older name of `max_completion_tokens`. */
function maxTokensOf({ max_tokens: older, max_completion_tokens: newer }: ChatRequest): number | null {
  if (typeof older === 'number' && typeof newer === 'number' && older !== newer)
    throw new TroupeError('invalid_request', '`max_tokens` and `max_completion_tokens` differ: send one of them', {
      param: 'max_tokens',
    })
  return newer ?? older ?? null
}

function logprobsOf({ logprobs, top_logprobs: top }: ChatRequest): number | null {
  if (logprobs) return top ?? 0
  if (typeof top === 'number')
    throw new TroupeError('invalid_request', '`top_logprobs` needs `logprobs: true`', { param: 'top_logprobs' })
  return null
}
