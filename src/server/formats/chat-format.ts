import type { TextPort } from '../deps.ts'
import type { GenerationPlan } from '../generation/plan.ts'
import type { TextToken } from '../generation/sequence.ts'
import type { AnswerFormat } from '../respond.ts'
import type { ChatAnswerBody, ChatLogprobsBody } from '../schemas/chat.ts'
import { finiteLogprob } from './logprob.ts'

/** What the client asked to see besides the answer. */
export interface ChatShape {
  readonly model: string
  readonly tokenIds: boolean
  readonly includeUsage: boolean
}

/** OpenAI's chat completions. */
export function chatFormat(plan: GenerationPlan, shape: ChatShape, text: TextPort): AnswerFormat<ChatAnswerBody> {
  const head = { id: `chatcmpl-${plan.requestId}`, created: Math.floor(Date.now() / 1000), model: shape.model }
  const whole = { ...head, object: 'chat.completion' as const }
  const part = { ...head, object: 'chat.completion.chunk' as const }
  const usage = shape.includeUsage ? { usage: null } : {}
  const promptIds = [...(plan.prompts[0]?.tokens ?? [])]
  const begun = new Set<number>()

  const logprobs = (tokens: readonly TextToken[]): ChatLogprobsBody | null =>
    plan.logprobs === null ? null : { content: tokens.flatMap((token) => tokenLogprob(token, text)), refusal: null }
  const ids = (tokens: readonly TextToken[]) => (shape.tokenIds ? { token_ids: tokens.map(({ token }) => token) } : {})
  const promptOnce = shape.tokenIds ? { prompt_token_ids: promptIds } : {}

  return {
    answer: (outcome) => ({
      ...whole,
      choices: outcome.choices.map((choice) => ({
        index: choice.index,
        message: { role: 'assistant' as const, content: choice.text, refusal: null },
        logprobs: logprobs(choice.tokens),
        finish_reason: choice.reason,
        ...ids(choice.tokens),
        ...promptOnce,
      })),
      usage: outcome.usage,
      provenance: outcome.provenance,
    }),
    chunks: (event) => {
      if (event.type === 'prompt') return []
      const { index } = event
      const first = !begun.has(index)
      begun.add(index)
      const role = first ? { role: 'assistant' } : {}
      if (event.type === 'text') {
        const choice = {
          index,
          delta: { ...role, content: event.text },
          logprobs: logprobs(event.tokens),
          finish_reason: null,
          ...ids(event.tokens),
          ...(first ? promptOnce : {}),
        }
        return [{ ...part, choices: [choice], ...usage }]
      }
      const choice = { index, delta: role, logprobs: null, finish_reason: event.reason }
      const last = { ...part, choices: [choice], ...usage }
      if (!event.end) return [last]
      if (!shape.includeUsage) return [{ ...last, provenance: event.end.provenance }]
      return [last, { ...part, choices: [], ...event.end }]
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
