import type { CallScanner, TextPort } from '../../../generation/ports.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import type { TextToken } from '../../../generation/sequence.ts'
import type { AnswerFormat } from '../../wire/respond.ts'
import type { ChatAnswerBody, ChatLogprobsBody } from './schema.ts'
import { finiteLogprob } from '../../wire/logprob.ts'
import { StreamedChoice, finishReason, scanAll, wireCall } from './tool-call-deltas.ts'

/** What the client asked to see besides the answer. */
export interface ChatShape {
  readonly model: string
  readonly tokenIds: boolean
  readonly includeUsage: boolean
  /** A scanner for one answer; null where calls of tools are no matter, or stay text. */
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

  const logprobs = (tokens: readonly TextToken[]): ChatLogprobsBody | null =>
    plan.logprobs === null ? null : { content: tokens.flatMap((token) => tokenLogprob(token, text)), refusal: null }
  const ids = (tokens: readonly TextToken[]) => (shape.tokenIds ? { token_ids: tokens.map(({ token }) => token) } : {})
  const promptOnce = shape.tokenIds ? { prompt_token_ids: promptIds } : {}

  return {
    answer: (outcome) => ({
      ...whole,
      choices: outcome.choices.map((choice) => {
        const { text: content, calls } = scanAll(shape.scanner(), choice.text)
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
          ...promptOnce,
        }
      }),
      usage: outcome.usage,
      provenance: outcome.provenance,
    }),
    chunks: (event) => {
      if (event.type === 'prompt') return []
      const { index } = event
      const stream = streams.get(index) ?? new StreamedChoice(shape.scanner())
      streams.set(index, stream)
      const chunk = (delta: object, more: object = {}) => ({
        ...part,
        choices: [{ index, delta, logprobs: null, finish_reason: null, ...more }],
        ...usage,
      })
      const once = stream.begun ? {} : promptOnce
      if (event.type === 'text') {
        // Tokens are reported when they come, also while their text is held back.
        const reports = plan.logprobs !== null || shape.tokenIds
        const more = { logprobs: logprobs(event.tokens), ...ids(event.tokens), ...once }
        return stream.deltas(event.text, reports).map((delta, i) => chunk(delta, i === 0 ? more : {}))
      }
      const rest = stream.end().map((delta, i) => chunk(delta, i === 0 ? once : {}))
      const last = chunk(stream.begin(), { finish_reason: finishReason(event.reason, stream.calls) })
      if (!event.end) return [...rest, last]
      if (!shape.includeUsage) return [...rest, { ...last, provenance: event.end.provenance }]
      return [...rest, last, { ...part, choices: [], ...event.end }]
    },
  }
}

function tokenLogprob({ logprob }: TextToken, text: TextPort) {
  if (!logprob) return []
  const entry = (token: number, value: number) => ({
    token: text.tokenText(token),
    logprob: finiteLogprob(value),
    bytes: [...text.tokenBytes(token)],
  })
  return [
    {
      ...entry(logprob.token, logprob.logprob),
      top_logprobs: logprob.top.map((alternative) => entry(alternative.token, alternative.logprob)),
    },
  ]
}
