import type { FastifyRequest } from 'fastify'
import { constrain } from '../../../generation/answer-form.ts'
import { startComparison } from '../../../generation/compare.ts'
import { pinMixes, resolutionOf } from '../../../generation/mixes.ts'
import type { PinnedMix } from '../../../generation/mixes.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import { completePlan } from '../../../generation/planning.ts'
import { encodeInput } from '../../../generation/task-input.ts'
import { viewOf } from '../../../tenancy/access.ts'
import { ofMix } from '../../../generation/target.ts'
import type { App } from '../../app.ts'
import type { RouteDeps } from '../../deps.ts'
import { answerForm } from '../../wire/answer-form.ts'
import { AnswerContent } from '../../wire/answer.ts'
import { clientSignal } from '../../wire/client-signal.ts'
import { errorResponses } from '../../wire/common.ts'
import { namedMix } from '../../wire/mixes.ts'
import { truncated } from '../../wire/prompt-fields.ts'
import { answerWish, samplingWish } from '../../wire/sampling.ts'
import { sendEvents } from '../../wire/sse.ts'
import { taskInput } from '../../wire/task-input.ts'
import { compareEvents, compareStyle, comparisonBody } from './format.ts'
import { CompareAnswer, CompareBody } from './schema.ts'
import type { CompareRequest } from './schema.ts'

/** As for tasks. */
const DEFAULTS = { temperature: 0, maxTokens: 256 }

const schema = {
  operationId: 'compare',
  tags: ['evaluation'],
  summary: 'One input through several mixes, side by side',
  description:
    'All mixes run in one batch. Streamed, the events are `start`, then `delta`, `end` or `error` of each mix as they come, and `summary` last. ' +
    'A mix that fails ends alone; a client that goes away ends all.',
  body: CompareBody,
  response: {
    200: AnswerContent(CompareAnswer, 'The answers.'),
    ...errorResponses(400, 401, 403, 404, 409, 410, 413, 415, 429, 500, 503),
  },
}

/** `POST /v1/compare` */
export function compareRoutes(app: App, deps: RouteDeps): void {
  app.post('/v1/compare', { schema }, async (request, reply) => {
    const { body } = request
    const mixes = pinMixes(deps, request.caller, body.mixes.map(namedMix))
    const plans = await plansOf(deps, request, body, mixes)
    const events = startComparison(deps, plans, body.likelihoods ?? false, clientSignal(reply))
    const objects = compareEvents(events, mixes, deps, request)
    if (!body.stream) return comparisonBody(objects)
    return sendEvents(request, reply, objects, compareStyle)
  })
}

/** One plan per mix, all with the same prompt. A seed that is drawn is drawn once: equal mixes give equal answers. */
async function plansOf(
  deps: RouteDeps,
  request: FastifyRequest,
  body: CompareRequest,
  mixes: readonly PinnedMix[],
): Promise<GenerationPlan[]> {
  const { caller } = request
  const named = body.task ?? null
  const task = named === null ? null : deps.catalogue.getTask(named, viewOf(caller))
  const constraint = await constrain(deps, answerForm(body, task), caller.tenant)
  const plans = mixes.map((mix) => {
    const resolution = resolutionOf(mix, task)
    const mixed = ofMix(deps, resolution)
    return completePlan(mixed, request, {
      label: { task: named, model: mix.label },
      resolution,
      prompts: [truncated(encodeInput(mixed.text, task, taskInput(body)), body)],
      wish: samplingWish(body, body.max_tokens),
      fallbacks: [DEFAULTS, deps.modelDefaults],
      ...answerWish(body, mixed.text.specialIds),
      constraint,
      logprobs: null,
      promptLogprobs: false,
    })
  })
  const seed = plans[0]?.sampling.seed ?? 0
  return plans.map((plan) => ({ ...plan, sampling: { ...plan.sampling, seed } }))
}
