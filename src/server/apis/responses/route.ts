import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Resolution } from '../../../catalogue/records.ts'
import { TroupeError } from '../../../core/errors.ts'
import { constrain } from '../../../generation/answer-form.ts'
import { encodeConversation } from '../../../generation/conversation.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import { completePlan } from '../../../generation/planning.ts'
import { ofMix, resolveTarget } from '../../../generation/target.ts'
import type { Tool, ToolChoice, ToolOffer } from '../../../generation/tool-offer.ts'
import { formWithTools, offeredTools, toolNames } from '../../../generation/tool-offer.ts'
import type { App } from '../../app.ts'
import type { RouteDeps } from '../../deps.ts'
import { nameIgnored, taking } from '../../fields/taking.ts'
import { answerForm } from '../../wire/answer-form.ts'
import { AnswerContent } from '../../wire/answer.ts'
import { chatMessages } from '../../wire/chat-messages.ts'
import { errorResponses } from '../../wire/common.ts'
import { tokenLogprob } from '../../wire/logprob.ts'
import { templateWish, truncated, unreadByTemplate } from '../../wire/prompt-fields.ts'
import { respond } from '../../wire/respond.ts'
import { answerWish, mixWish, samplingWish } from '../../wire/sampling.ts'
import { responseFormat } from './format.ts'
import type { ResponseShape } from './format.ts'
import { inputMessages } from './input.ts'
import { ResponseAnswer, ResponseBody } from './schema.ts'
import type { ResponseRequest } from './schema.ts'

const LOGPROBS = 'message.output_text.logprobs'

const schema = {
  operationId: 'createResponse',
  tags: ['openai'],
  summary: 'Answer an input (OpenAI’s responses)',
  description: 'Nothing is stored: `store` is answered with `false`, `previous_response_id` is refused.',
  body: ResponseBody,
  response: {
    200: AnswerContent(ResponseAnswer, 'The answer.'),
    ...errorResponses(400, 401, 404, 409, 410, 413, 415, 429, 500, 503),
  },
}

/** `POST /v1/responses` */
export function responseRoutes(app: App, deps: RouteDeps): void {
  const options = { schema, ...taking('responses', schema, deps.settings.strictRequests) }
  app.post('/v1/responses', options, async (request, reply) => {
    const { body } = request
    const resolution = resolveTarget(deps.catalogue, request.caller, { model: body.model }, mixWish(body))
    const mixed = ofMix(deps, resolution)
    const offer = offeredTools(
      { tools: chatTools(body), choice: chatChoice(body), parallel: body.parallel_tool_calls ?? null },
      mixed.text,
    )
    nameUnused(reply, body, mixed)
    const plan = await planResponse(mixed, request, body, offer, resolution)
    const format = responseFormat(plan, shapeOf(mixed, body, offer))
    return respond(deps, request, reply, plan, format, body.stream ?? false)
  })
}

async function planResponse(
  deps: RouteDeps,
  request: FastifyRequest,
  body: ResponseRequest,
  offer: ToolOffer | null,
  resolution: Resolution,
): Promise<GenerationPlan> {
  const { model } = body
  const messages = inputMessages(body)
  if (messages.length === 0)
    throw new TroupeError('invalid_request', '`input` has no message to answer: add one', { param: 'input' })
  const prompt = encodeConversation(deps.text, {
    ...{
      messages: chatMessages(messages),
      task: resolution.task,
      tools: offer?.tools ?? [],
      begun: offer?.begun ?? '',
    },
    template: templateWish({ ...body, reasoning_effort: effortOf(body) }),
  })
  const form = answerForm({ response_format: body.text?.format }, resolution.task, 'text.format')
  const answer = answerWish(body, deps.text.specialIds)
  return completePlan(deps, request, {
    label: { task: null, model },
    resolution,
    prompts: [truncated(prompt, body)],
    wish: samplingWish(body, body.max_output_tokens),
    fallbacks: [deps.modelDefaults, { temperature: 1 }],
    ...answer,
    shown: [...(answer.shown ?? []), ...(offer ? deps.text.toolMarkers : [])],
    constraint: await constrain(deps, formWithTools(offer, form), request.caller.tenant),
    logprobs: logprobsOf(body),
    promptLogprobs: false,
  })
}

function shapeOf({ text }: RouteDeps, body: ResponseRequest, offer: ToolOffer | null): ResponseShape {
  const logprobs = logprobsOf(body)
  return {
    echoed: {
      instructions: body.instructions ?? null,
      max_output_tokens: body.max_output_tokens ?? null,
      metadata: body.metadata ?? {},
      model: body.model,
      parallel_tool_calls: body.parallel_tool_calls ?? true,
      reasoning: { effort: effortOf(body) ?? null, summary: null },
      text: { format: { ...(body.text?.format ?? { type: 'text' }) } },
      tool_choice: body.tool_choice ?? 'auto',
      tools: [...(body.tools ?? [])],
      user: body.user ?? null,
    },
    maxCalls: body.parallel_tool_calls === false ? 1 : Infinity,
    scanner: () => (offer ? text.toolScanner(new Set(toolNames(offer.tools)), offer.begun) : null),
    logprobs: (tokens) => (logprobs === null ? [] : tokens.flatMap((token) => tokenLogprob(token, logprobs, text))),
  }
}

function chatTools({ tools }: ResponseRequest): readonly Tool[] | null {
  if (!tools?.length) return null
  return tools.map(({ name, description, parameters, strict }) => ({
    type: 'function',
    function: {
      name,
      ...(description ? { description } : {}),
      ...(parameters ? { parameters } : {}),
      ...(strict ? { strict } : {}),
    },
  }))
}

function chatChoice({ tool_choice: choice }: ResponseRequest): ToolChoice | null {
  if (!choice || typeof choice === 'string') return choice ?? null
  return { function: { name: choice.name } }
}

function effortOf(body: ResponseRequest): string | null | undefined {
  return body.reasoning?.effort ?? body.reasoning_effort
}

function logprobsOf({ include, top_logprobs: top }: ResponseRequest): number | null {
  if (include?.includes(LOGPROBS)) return top ?? 0
  return top || null
}

/** What of the body has no effect, though its schema names it. */
function nameUnused(reply: FastifyReply, body: ResponseRequest, { text }: RouteDeps): void {
  const { reasoning, include } = body
  const unread = unreadByTemplate({ ...body, reasoning_effort: effortOf(body) }, text)
  const names = unread.map((name) => (name === 'reasoning_effort' && reasoning?.effort ? 'reasoning.effort' : name))
  nameIgnored(reply, include?.some((one) => one !== LOGPROBS) ? [...names, 'include'] : names)
}
