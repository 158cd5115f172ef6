import type { FastifyRequest } from 'fastify'
import type { Resolution } from '../../../catalogue/records.ts'
import { TroupeError } from '../../../core/errors.ts'
import { constrain } from '../../../generation/answer-form.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import { completePlan } from '../../../generation/planning.ts'
import { encodePrompt, tokenPrompt } from '../../../generation/prompts.ts'
import type { EncodedPrompt } from '../../../generation/prompts.ts'
import { ofMix, resolveTarget, vocabularyOf } from '../../../generation/target.ts'
import type { App } from '../../app.ts'
import type { RouteDeps } from '../../deps.ts'
import { taking } from '../../fields/taking.ts'
import { answerForm } from '../../wire/answer-form.ts'
import { AnswerContent } from '../../wire/answer.ts'
import { errorResponses } from '../../wire/common.ts'
import { truncated } from '../../wire/prompt-fields.ts'
import { respond } from '../../wire/respond.ts'
import { answerWish, mixWish, samplingWish } from '../../wire/sampling.ts'
import { includeUsage } from '../../wire/stream-options.ts'
import { completionFormat } from './format.ts'
import { CompletionAnswer, CompletionBody } from './schema.ts'
import type { CompletionRequest } from './schema.ts'

/** OpenAI's own default for this route. */
const DEFAULT_MAX_TOKENS = 16

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
  const options = { schema, ...taking('completions', schema, deps.settings.strictRequests) }
  app.post('/v1/completions', options, async (request, reply) => {
    const { body } = request
    const resolution = resolveTarget(deps.catalogue, request.caller, { model: body.model }, mixWish(body))
    const mixed = ofMix(deps, resolution)
    const plan = await planCompletion(mixed, request, body, resolution)
    const shape = {
      model: body.model,
      echo: body.echo ?? false,
      logprobs: logprobsOf(body),
      promptLogprobs: body.prompt_logprobs ?? null,
      tokenIds: body.return_token_ids ?? false,
      tokensAsIds: body.return_tokens_as_token_ids ?? false,
      includeUsage: includeUsage(body),
    }
    return respond(deps, request, reply, plan, completionFormat(plan, shape, mixed.text), body.stream ?? false)
  })
}

async function planCompletion(
  deps: RouteDeps,
  request: FastifyRequest,
  body: CompletionRequest,
  resolution: Resolution,
): Promise<GenerationPlan> {
  const { best_of: bestOf, model, prompt_logprobs: ofPrompt } = body
  if (typeof bestOf === 'number' && bestOf !== (body.n ?? 1))
    throw new TroupeError(
      'invalid_request',
      `\`best_of\` is ${bestOf}, it must equal \`n\`: all answers are returned`,
      {
        param: 'best_of',
      },
    )
  const maxTokens = maxTokensOf(body)
  if (maxTokens === 0 && !body.echo && typeof ofPrompt !== 'number')
    throw new TroupeError(
      'invalid_request',
      '`max_tokens` is 0: that makes sense only with `echo` or `prompt_logprobs`',
      {
        param: 'max_tokens',
      },
    )
  const logprobs = logprobsOf(body)
  return completePlan(deps, request, {
    label: { task: null, model },
    resolution,
    prompts: encodePrompts(deps, body, vocabularyOf(deps.engine.info, resolution)).map((prompt) =>
      truncated(prompt, body),
    ),
    wish: samplingWish(body, maxTokens),
    fallbacks: [
      ...(maxTokens === -1 ? [] : [{ maxTokens: DEFAULT_MAX_TOKENS }]),
      deps.modelDefaults,
      { temperature: 1 },
    ],
    ...answerWish(body, deps.text.specialIds),
    constraint: await constrain(deps, answerForm(body, resolution.task), request.caller.tenant),
    everyToken: body.return_token_ids ?? false,
    logprobs: typeof ofPrompt === 'number' ? Math.max(ofPrompt, logprobs ?? 0) : logprobs,
    promptLogprobs: typeof ofPrompt === 'number' || (logprobs !== null && (body.echo ?? false)),
  })
}

function maxTokensOf(body: CompletionRequest): number | null {
  return body.max_tokens ?? body.max_completion_tokens ?? body.n_predict ?? null
}

function logprobsOf({ logprobs, n_probs: nProbs }: CompletionRequest): number | null {
  if (typeof logprobs === 'boolean') return logprobs ? 1 : null
  // llama.cpp's 0 is "none".
  return logprobs ?? (nProbs || null)
}

function encodePrompts(deps: RouteDeps, body: CompletionRequest, vocab: number): EncodedPrompt[] {
  const { prompt, add_special_tokens: addSpecialTokens, parse_special: parseSpecial } = body
  const encode = (given: string, param: string): EncodedPrompt => {
    // A raw prompt is the client's own: it writes the special tokens of the model's format itself.
    const { value, mark } = parseSpecial === false ? deps.text.inert(given) : { value: given, mark: null }
    return encodePrompt(deps.text, value, { param, addSpecialTokens: addSpecialTokens ?? true, mark })
  }
  if (typeof prompt === 'string') return [encode(prompt, 'prompt')]
  if (isTokenIds(prompt)) return [tokenPrompt(prompt, vocab, 'prompt')]
  return prompt.map((one, i) =>
    typeof one === 'string' ? encode(one, `prompt[${i}]`) : tokenPrompt(one, vocab, `prompt[${i}]`),
  )
}

function isTokenIds(prompt: string[] | number[] | number[][]): prompt is number[] {
  return typeof prompt[0] === 'number'
}
