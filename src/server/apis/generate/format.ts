import type { TextPort } from '../../../generation/ports.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import type { TextToken } from '../../../generation/sequence.ts'
import type { AnswerFormat } from '../../wire/respond.ts'
import type { GenerateAnswerBody } from './schema.ts'
import { finiteLogprob } from '../../wire/logprob.ts'

/** Troupe's own format: `POST /v1/tasks/{task}/generate`. */
export function generateFormat(
  plan: GenerationPlan,
  task: string,
  model: string,
  text: TextPort,
): AnswerFormat<GenerateAnswerBody> {
  const head = { id: `gen_${plan.requestId}`, task, created: Math.floor(Date.now() / 1000), model }
  const logprobs = (tokens: readonly TextToken[]) =>
    plan.logprobs === null ? {} : { logprobs: tokens.flatMap((token) => tokenLogprob(token, text)) }

  return {
    answer: ({ choices, usage, provenance }) => ({
      ...head,
      choices: choices.map((choice) => ({
        index: choice.index,
        text: choice.text,
        finish_reason: choice.reason,
        ...logprobs(choice.tokens),
      })),
      usage,
      provenance,
    }),
    chunks: (event) => {
      if (event.type === 'prompt') return []
      if (event.type === 'text') {
        const choice = { index: event.index, text: event.text, finish_reason: null, ...logprobs(event.tokens) }
        return [{ ...head, choices: [choice] }]
      }
      return [{ ...head, choices: [{ index: event.index, text: '', finish_reason: event.reason }], ...event.end }]
    },
  }
}

function tokenLogprob({ logprob }: TextToken, text: TextPort) {
  if (!logprob) return []
  const entry = (token: number, value: number) => ({
    id: token,
    text: text.tokenText(token),
    logprob: finiteLogprob(value),
  })
  return [
    {
      ...entry(logprob.token, logprob.logprob),
      top: logprob.top.map((alternative) => entry(alternative.token, alternative.logprob)),
    },
  ]
}
