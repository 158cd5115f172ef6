import type { FastifyRequest } from 'fastify'
import { TroupeError } from '../../../core/errors.ts'
import type { App } from '../../app.ts'
import type { RouteDeps } from '../../deps.ts'
import { completionFormat } from './format.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import { completePlan } from '../../../generation/planning.ts'
import { encodePrompt, tokenPrompt } from '../../../generation/prompts.ts'
import type { EncodedPrompt } from '../../../generation/prompts.ts'
import { resolveTarget } from '../../../generation/target.ts'
import { respond } from '../../wire/respond.ts'
import { AnswerContent } from '../../wire/answer.ts'
import { errorResponses } from '../../wire/common.ts'
import { CompletionAnswer, CompletionBody } from './schema.ts'
import type { CompletionRequest } from './schema.ts'
import { mixWish, samplingWish } from '../../wire/sampling.ts'
import { includeUsage } from '../../wire/stream-options.ts'

/** OpenAI's own defaults for this route. */
const DEFAULTS = { temperature: 1, maxTokens: 16 }

const schema = {
  operationId: 'createCompletion',
  tags: ['openai'],
  summary: 'Complete prompts (OpenAI’s completions)',
  body: CompletionBody,
  response: {
    200: AnswerContent(CompletionAnswer, 'The completions, `n` per prompt.'),
    ...errorResponses(400, 401, 404, 409, 410, 413, 415, 429, 500, 503),
  },
}

/** `POST /v1/completions` */
export function completionRoutes(app: App, deps: RouteDeps): void {
  app.post('/v1/completions', { schema }, async (request, reply) => {
    const { body } = request
    const plan = planCompletion(deps, request, body)
    const shape = {
      model: body.model,
      echo: body.echo ?? false,
      tokenIds: body.return_token_ids ?? false,
      includeUsage: includeUsage(body),
    }
    return respond(deps, request, reply, plan, completionFormat(plan, shape, deps.text), body.stream ?? false)
  })
}

function planCompletion(deps: RouteDeps, request: FastifyRequest, body: CompletionRequest): GenerationPlan {
  const { best_of: bestOf, model } = body
  if (typeof bestOf === 'number' && bestOf !== (body.n ?? 1))
    throw new TroupeError('invalid_request', '`best_of` must equal `n`: all answers are returned', { param: 'best_of' })
  if (body.max_tokens === 0 && !body.echo)
    throw new TroupeError('invalid_request', '`max_tokens: 0` makes sense only with `echo: true`', {
      param: 'max_tokens',
    })
  const logprobs = body.logprobs ?? null
  return completePlan(deps, request, {
    label: { task: null, model },
    resolution: resolveTarget(deps.registry, request.caller, { model }, mixWish(body)),
    prompts: encodePrompts(deps, body),
    wish: samplingWish(body, body.max_tokens),
    n: body.n ?? 1,
    ignoreEos: body.ignore_eos ?? false,
    fallback: DEFAULTS,
    logprobs,
    promptLogprobs: logprobs !== null && (body.echo ?? false),
  })
}

function encodePrompts(deps: RouteDeps, { prompt, add_special_tokens: special }: CompletionRequest): EncodedPrompt[] {
  const { vocab } = deps.engine.info
  const encode = (text: string, param: string): EncodedPrompt => encodePrompt(deps.text, text, special ?? true, param)
  if (typeof prompt === 'string') return [encode(prompt, 'prompt')]
  if (isTokenIds(prompt)) return [tokenPrompt(prompt, vocab, 'prompt')]
  return prompt.map((one, i) =>
    typeof one === 'string' ? encode(one, `prompt[${i}]`) : tokenPrompt(one, vocab, `prompt[${i}]`),
  )
}

function isTokenIds(prompt: string[] | number[] | number[][]): prompt is number[] {
  return typeof prompt[0] === 'number'
}
