import type { FastifyRequest } from 'fastify'
import { TroupeError } from '../../../core/errors.ts'
import type { TaskRecord } from '../../../registry/records.ts'
import type { App } from '../../app.ts'
import type { RouteDeps } from '../../deps.ts'
import { generateFormat } from './format.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import { completePlan } from '../../../generation/planning.ts'
import { encodePrompt, fillPrompt, renderMessages } from '../../../generation/prompts.ts'
import type { EncodedPrompt } from '../../../generation/prompts.ts'
import { resolveTarget } from '../../../generation/target.ts'
import { respond } from '../../wire/respond.ts'
import { chatMessages } from '../../wire/chat-messages.ts'
import { mixWish, samplingWish } from '../../wire/sampling.ts'
import { AnswerContent } from '../../wire/answer.ts'
import { Name, Strict, errorResponses } from '../../wire/common.ts'
import { GenerateAnswer, GenerateBody } from './schema.ts'
import type { GenerateRequest } from './schema.ts'

const DEFAULTS = { temperature: 0, maxTokens: 256 }

const schema = {
  operationId: 'generate',
  tags: ['generation'],
  summary: 'Run a task',
  description: 'Greedy unless the task or the request set a temperature.',
  params: Strict({ task: Name }),
  body: GenerateBody,
  response: {
    200: AnswerContent(GenerateAnswer, 'The answer.'),
    ...errorResponses(400, 401, 404, 409, 410, 413, 415, 429, 500, 503),
  },
}

/** `POST /v1/tasks/{task}/generate` */
export function generateRoutes(app: App, deps: RouteDeps): void {
  app.post('/v1/tasks/:task/generate', { schema }, async (request, reply) => {
    const { body, params } = request
    const plan = planGenerate(deps, request, params.task, body)
    const format = generateFormat(plan, params.task, deps.engine.info.name, deps.text)
    return respond(deps, request, reply, plan, format, body.stream ?? false)
  })
}

function planGenerate(deps: RouteDeps, request: FastifyRequest, task: string, body: GenerateRequest): GenerationPlan {
  const resolution = resolveTarget(deps.registry, request.caller, { task }, mixWish(body))
  return completePlan(deps, request, {
    label: { task, model: null },
    resolution,
    prompts: [encodeInput(deps, resolution.task, body)],
    wish: samplingWish(body, body.max_tokens),
    n: body.n ?? 1,
    ignoreEos: body.ignore_eos ?? false,
    fallback: DEFAULTS,
    logprobs: body.logprobs ?? null,
    promptLogprobs: false,
  })
}

function encodeInput(deps: RouteDeps, task: TaskRecord | null, body: GenerateRequest): EncodedPrompt {
  const { input, prompt, messages } = body
  const encode = (text: string, addSpecialTokens: boolean, param: string): EncodedPrompt =>
    encodePrompt(deps.text, text, addSpecialTokens, param)
  if ([input, prompt, messages].filter((given) => given !== undefined).length !== 1)
    throw new TroupeError('invalid_request', 'send exactly one of `input`, `prompt` and `messages`', { param: 'input' })
  if (input !== undefined) return encode(task ? fillPrompt(task, input) : input, true, 'input')
  if (prompt !== undefined) return encode(prompt, true, 'prompt')
  // The chat template writes the special tokens itself.
  return encode(renderMessages(deps.text, chatMessages(messages ?? []), task), false, 'messages')
}
