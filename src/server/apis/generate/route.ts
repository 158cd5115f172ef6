import type { FastifyRequest } from 'fastify'
import type { Resolution } from '../../../catalogue/records.ts'
import { constrain } from '../../../generation/answer-form.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import { completePlan } from '../../../generation/planning.ts'
import { encodeInput } from '../../../generation/task-input.ts'
import { ofMix, resolveTarget } from '../../../generation/target.ts'
import type { App } from '../../app.ts'
import type { RouteDeps } from '../../deps.ts'
import { nameIgnored, taking } from '../../fields/taking.ts'
import { answerForm } from '../../wire/answer-form.ts'
import { AnswerContent } from '../../wire/answer.ts'
import { Name, Strict, errorResponses } from '../../wire/common.ts'
import { truncated, unreadByTemplate } from '../../wire/prompt-fields.ts'
import { respond } from '../../wire/respond.ts'
import { taskInput } from '../../wire/task-input.ts'
import { answerWish, mixWish, samplingWish } from '../../wire/sampling.ts'
import { generateFormat } from './format.ts'
import { GenerateAnswer, GenerateBody } from './schema.ts'
import type { GenerateRequest } from './schema.ts'

/** A task is greedy unless it or the request says otherwise. */
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
  const options = { schema, ...taking('generate', schema, deps.settings.strictRequests) }
  app.post('/v1/tasks/:task/generate', options, async (request, reply) => {
    const { body, params } = request
    const resolution = resolveTarget(deps.catalogue, request.caller, { task: params.task }, mixWish(body))
    const mixed = ofMix(deps, resolution)
    const plan = await planGenerate(mixed, request, params.task, body, resolution)
    if (body.messages) nameIgnored(reply, unreadByTemplate(body, mixed.text))
    const format = generateFormat(plan, params.task, deps.engine.info.name, mixed.text)
    return respond(deps, request, reply, plan, format, body.stream ?? false)
  })
}

async function planGenerate(
  deps: RouteDeps,
  request: FastifyRequest,
  task: string,
  body: GenerateRequest,
  resolution: Resolution,
): Promise<GenerationPlan> {
  return completePlan(deps, request, {
    label: { task, model: null },
    resolution,
    prompts: [truncated(encodeInput(deps.text, resolution.task, taskInput(body)), body)],
    wish: samplingWish(body, body.max_tokens),
    fallbacks: [DEFAULTS, deps.modelDefaults],
    ...answerWish(body, deps.text.specialIds),
    constraint: await constrain(deps, answerForm(body, resolution.task), request.caller.tenant),
    logprobs: body.logprobs ?? null,
    promptLogprobs: false,
  })
}
