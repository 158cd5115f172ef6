import type { FastifyRequest } from 'fastify'
import type { Resolution } from '../../../catalogue/records.ts'
import { TroupeError } from '../../../core/errors.ts'
import { constrain } from '../../../generation/answer-form.ts'
import { encodeConversation } from '../../../generation/conversation.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import { completePlan } from '../../../generation/planning.ts'
import { ofMix, resolveTarget } from '../../../generation/target.ts'
import type { ToolOffer } from '../../../generation/tool-offer.ts'
import { formWithTools, offeredTools, toolNames } from '../../../generation/tool-offer.ts'
import type { App } from '../../app.ts'
import type { RouteDeps } from '../../deps.ts'
import { nameIgnored, taking } from '../../fields/taking.ts'
import { answerForm } from '../../wire/answer-form.ts'
import { AnswerContent } from '../../wire/answer.ts'
import { chatMessages } from '../../wire/chat-messages.ts'
import { errorResponses } from '../../wire/common.ts'
import { templateWish, truncated, unreadByTemplate } from '../../wire/prompt-fields.ts'
import { respond } from '../../wire/respond.ts'
import { answerWish, mixWish, samplingWish } from '../../wire/sampling.ts'
import { includeUsage } from '../../wire/stream-options.ts'
import { chatFormat } from './format.ts'
import { ChatAnswer, ChatBody } from './schema.ts'
import type { ChatRequest } from './schema.ts'

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
  const options = { schema, ...taking('chat-completions', schema, deps.settings.strictRequests) }
  app.post('/v1/chat/completions', options, async (request, reply) => {
    const { body } = request
    const tools = body.tools?.length ? body.tools : null
    const resolution = resolveTarget(deps.catalogue, request.caller, { model: body.model }, mixWish(body))
    const mixed = ofMix(deps, resolution)
    const offer = offeredTools(
      { tools, choice: body.tool_choice ?? null, parallel: body.parallel_tool_calls ?? null },
      mixed.text,
    )
    const plan = await planChat(mixed, request, body, offer, resolution)
    nameIgnored(reply, unreadByTemplate(body, mixed.text))
    const shape = {
      model: body.model,
      logprobs: logprobsOf(body),
      promptLogprobs: body.prompt_logprobs ?? null,
      tokenIds: body.return_token_ids ?? false,
      tokensAsIds: body.return_tokens_as_token_ids ?? false,
      includeUsage: includeUsage(body),
      maxCalls: body.parallel_tool_calls === false ? 1 : Infinity,
      scanner: () => (offer ? mixed.text.toolScanner(new Set(toolNames(offer.tools)), offer.begun) : null),
    }
    return respond(deps, request, reply, plan, chatFormat(plan, shape, mixed.text), body.stream ?? false)
  })
}

async function planChat(
  deps: RouteDeps,
  request: FastifyRequest,
  body: ChatRequest,
  offer: ToolOffer | null,
  resolution: Resolution,
): Promise<GenerationPlan> {
  const { model, prompt_logprobs: ofPrompt } = body
  const prompt = encodeConversation(deps.text, {
    messages: chatMessages(body.messages),
    task: resolution.task,
    tools: offer?.tools ?? [],
    begun: offer?.begun ?? '',
    template: templateWish(body),
  })
  const answer = answerWish(body, deps.text.specialIds)
  const logprobs = logprobsOf(body)
  return completePlan(deps, request, {
    label: { task: null, model },
    resolution,
    prompts: [truncated(prompt, body)],
    wish: samplingWish(body, maxTokensOf(body)),
    fallbacks: [deps.modelDefaults, { temperature: 1 }],
    ...answer,
    shown: [...(answer.shown ?? []), ...(offer ? deps.text.toolMarkers : [])],
    constraint: await constrain(deps, formWithTools(offer, answerForm(body, resolution.task)), request.caller.tenant),
    everyToken: body.return_token_ids ?? false,
    logprobs: typeof ofPrompt === 'number' ? Math.max(ofPrompt, logprobs ?? 0) : logprobs,
    promptLogprobs: typeof ofPrompt === 'number',
  })
}

/** One field under three names. */
function maxTokensOf(body: ChatRequest): number | null {
  const fields = ['max_completion_tokens', 'max_tokens', 'n_predict'] as const
  const given = fields.filter((field) => typeof body[field] === 'number')
  const [first, ...others] = given
  if (first === undefined) return null
  const other = others.find((field) => body[field] !== body[first])
  if (other !== undefined)
    throw new TroupeError('invalid_request', `\`${first}\` and \`${other}\` differ: send one of them`, { param: other })
  if (body[first] === 0)
    throw new TroupeError('invalid_request', `\`${first}\` is 0, it must be at least 1`, { param: first })
  return body[first] ?? null
}

function logprobsOf({ logprobs, top_logprobs: top }: ChatRequest): number | null {
  if (logprobs) return top ?? 0
  if (top) throw new TroupeError('invalid_request', '`top_logprobs` needs `logprobs: true`', { param: 'top_logprobs' })
  return null
}
