import type { CallScanner, TextPort } from '../../../generation/ports.ts'
import type { Choice } from '../../../generation/collect.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import type { TextToken } from '../../../generation/sequence.ts'
import type { AnswerFormat } from '../../wire/respond.ts'
import type { ChatAnswerBody, ChatLogprobsBody } from './schema.ts'
import { tokenLogprob, tokenNames } from '../../wire/logprob.ts'
import { promptLogprobsBody } from '../../wire/prompt-logprobs.ts'
import { StreamedChoice, finishReason, scanAll, wireCall } from './tool-call-deltas.ts'

/** What the client asked to see besides the answer. */
export interface ChatShape {
  readonly model: string
  /** Alternatives per token; null = no log-probabilities. */
  readonly logprobs: number | null
  readonly promptLogprobs: number | null
  readonly tokenIds: boolean
  readonly tokensAsIds: boolean
  readonly includeUsage: boolean
  /** Calls of tools that one answer may make; more are left out. */
  readonly maxCalls: number
  /** A scanner for one answer; null where tool calls are not involved, or stay text. */
  readonly scanner: () => CallScanner | null
}

/** OpenAI's chat completions. */
export function chatFormat(plan: GenerationPlan, shape: ChatShape, text: TextPort): AnswerFormat<ChatAnswerBody> {
  const head = { id: `chatcmpl-${plan.requestId}`, created: Math.floor(Date.now() / 1000), model: shape.model }
  const whole = { ...head, object: 'chat.completion' as const }
  const part = { ...head, object: 'chat.completion.chunk' as const }
  const usage = shape.includeUsage ? { usage: null } : {}
  const promptIds = [...(plan.prompts[0]?.tokens ?? [])]
  const streams = new Map<number, StreamedChoice>()
  const name = tokenNames(shape.tokensAsIds, text)

  const logprobs = (tokens: readonly TextToken[]): ChatLogprobsBody | null =>
    shape.logprobs === null
      ? null
      : { content: tokens.flatMap((token) => tokenLogprob(token, shape.logprobs ?? 0, text, name)), refusal: null }
  const ids = (tokens: readonly TextToken[]) => (shape.tokenIds ? { token_ids: tokens.map(({ token }) => token) } : {})
  const promptOnce = shape.tokenIds ? { prompt_token_ids: promptIds } : {}
  const promptScores = (logprobs: Choice['promptLogprobs']) =>
    shape.promptLogprobs === null || logprobs === null
      ? {}
      : { prompt_logprobs: promptLogprobsBody(logprobs, shape.promptLogprobs, text) }

  return {
    answer: (outcome) => ({
      ...whole,
      choices: outcome.choices.map((choice) => {
        const { text: content, calls } = scanAll(shape.scanner(), choice.text, shape.maxCalls)
        return {
          index: choice.index,
          message: {
            role: 'assistant' as const,
            content: content === '' && calls.length > 0 ? null : content,
            refusal: null,
            ...(calls.length > 0 ? { tool_calls: calls.map(wireCall) } : {}),
          },
          logprobs: logprobs(choice.tokens),
          finish_reason: finishReason(choice.reason, calls.length),
          ...ids(choice.tokens),
        }
      }),
      ...promptOnce,
      ...promptScores(outcome.choices[0]?.promptLogprobs ?? null),
      usage: outcome.usage,
      provenance: outcome.provenance,
    }),
    chunks: (event) => {
      if (event.type === 'prompt') {
        const scores = event.index === 0 ? promptScores(event.logprobs) : {}
        return 'prompt_logprobs' in scores ? [{ ...part, choices: [], ...usage, ...scores }] : []
      }
      const { index } = event
      const stream = streams.get(index) ?? new StreamedChoice(shape.scanner(), shape.maxCalls)
      streams.set(index, stream)
      const chunk = (delta: object, more: object = {}, once: object = {}) => ({
        ...part,
        choices: [{ index, delta, logprobs: null, finish_reason: null, ...more }],
        ...usage,
        ...once,
      })
      const once = stream.begun || index > 0 ? {} : promptOnce
      if (event.type === 'text') {
        // Tokens are reported when they come, also while their text is held back.
        const reports = shape.logprobs !== null || shape.tokenIds
        const more = { logprobs: logprobs(event.tokens), ...ids(event.tokens) }
        return stream.deltas(event.text, reports).map((delta, i) => (i === 0 ? chunk(delta, more, once) : chunk(delta)))
      }
      const rest = stream.end().map((delta, i) => chunk(delta, {}, i === 0 ? once : {}))
      const last = chunk(stream.begin(), { finish_reason: finishReason(event.reason, stream.calls) })
      if (!event.end) return [...rest, last]
      if (!shape.includeUsage) return [...rest, { ...last, provenance: event.end.provenance }]
      return [...rest, last, { ...part, choices: [], ...event.end }]
    },
  }
}
