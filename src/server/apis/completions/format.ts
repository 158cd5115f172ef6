import type { TokenLogprob } from '../../../core/generation.ts'
import type { TextPort } from '../../../generation/ports.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import type { RunEvent } from '../../../generation/run.ts'
import type { TextToken } from '../../../generation/sequence.ts'
import type { AnswerFormat } from '../../wire/respond.ts'
import type { CompletionAnswerBody, LegacyLogprobsBody } from './schema.ts'
import { tokenNames } from '../../wire/logprob.ts'
import { promptLogprobsBody } from '../../wire/prompt-logprobs.ts'
import { joinLegacy, legacyLogprobs } from './legacy-logprobs.ts'
import { promptOffsets } from './prompt-offsets.ts'

/** What the client asked to see besides the answer. */
export interface CompletionShape {
  readonly model: string
  readonly echo: boolean
  /** Alternatives per token; null = no log-probabilities. */
  readonly logprobs: number | null
  readonly promptLogprobs: number | null
  readonly tokenIds: boolean
  readonly tokensAsIds: boolean
  readonly includeUsage: boolean
}

/** OpenAI's completions, the older of its two APIs. */
export function completionFormat(
  plan: GenerationPlan,
  shape: CompletionShape,
  text: TextPort,
): AnswerFormat<CompletionAnswerBody> {
  const head = {
    id: `cmpl-${plan.requestId}`,
    object: 'text_completion' as const,
    created: Math.floor(Date.now() / 1000),
    model: shape.model,
  }
  const naming = { alternatives: shape.logprobs ?? 0, name: tokenNames(shape.tokensAsIds, text) }
  const echoes = plan.prompts.map((prompt) => (shape.echo ? (prompt.text ?? text.decode([...prompt.tokens])) : ''))
  const promptAt = (index: number): number => Math.floor(index / plan.n)
  const echoAt = (index: number): string => echoes[promptAt(index)] ?? ''
  const tokensAt = (index: number): Int32Array => plan.prompts[promptAt(index)]?.tokens ?? new Int32Array(0)

  const promptPart = (index: number, logprobs: readonly (TokenLogprob | null)[] | null): LegacyLogprobsBody | null => {
    if (shape.logprobs === null) return null
    if (!shape.echo || logprobs === null) return legacyLogprobs([], naming)
    const tokens = tokensAt(index)
    const offsets = promptOffsets(tokens, text)
    return legacyLogprobs(
      logprobs.map((logprob, i) => ({ token: tokens[i] ?? 0, offset: offsets[i] ?? 0, logprob })),
      naming,
    )
  }
  const answerPart = (index: number, tokens: readonly TextToken[]): LegacyLogprobsBody | null =>
    shape.logprobs === null ? null : legacyLogprobs(tokens, naming, echoAt(index).length)
  const ids = (index: number, tokens: readonly TextToken[], withPrompt: boolean) => {
    if (!shape.tokenIds) return {}
    const prompt = withPrompt ? { prompt_token_ids: [...tokensAt(index)] } : {}
    return { token_ids: tokens.map(({ token }) => token), ...prompt }
  }
  const scores = (logprobs: readonly (TokenLogprob | null)[] | null) =>
    shape.promptLogprobs === null || logprobs === null
      ? {}
      : { prompt_logprobs: promptLogprobsBody(logprobs, shape.promptLogprobs, text) }

  const begun = new Set<number>()
  const usage = shape.includeUsage ? { usage: null } : {}
  const chunk = (index: number, piece: string, logprobs: LegacyLogprobsBody | null, more: object): object => ({
    ...head,
    choices: [{ index, text: piece, logprobs, finish_reason: null, ...more }],
    ...usage,
  })
  /** The prompt itself, before anything else of its choice. */
  const opening = (event: RunEvent): object[] => {
    if (begun.has(event.index)) return []
    begun.add(event.index)
    if (!shape.echo && !shape.tokenIds && shape.promptLogprobs === null) return []
    const found = event.type === 'prompt' ? event.logprobs : null
    const more = { ...ids(event.index, [], true), ...scores(found) }
    return [chunk(event.index, echoAt(event.index), promptPart(event.index, found), more)]
  }

  return {
    answer: (outcome) => ({
      ...head,
      choices: outcome.choices.map(({ index, text: answer, tokens, promptLogprobs, reason }) => ({
        index,
        text: echoAt(index) + answer,
        logprobs: joinLegacy(promptPart(index, promptLogprobs), answerPart(index, tokens)),
        finish_reason: reason,
        ...ids(index, tokens, true),
        ...scores(promptLogprobs),
      })),
      usage: outcome.usage,
      provenance: outcome.provenance,
    }),
    chunks: (event) => {
      const chunks = opening(event)
      if (event.type === 'prompt') return chunks
      if (event.type === 'text') {
        const more = ids(event.index, event.tokens, false)
        return [...chunks, chunk(event.index, event.text, answerPart(event.index, event.tokens), more)]
      }
      const last = { ...head, choices: [{ index: event.index, text: '', logprobs: null, finish_reason: event.reason }] }
      if (!event.end) return [...chunks, { ...last, ...usage }]
      if (!shape.includeUsage) return [...chunks, { ...last, provenance: event.end.provenance }]
      return [...chunks, { ...last, ...usage }, { ...head, choices: [], ...event.end }]
    },
  }
}
