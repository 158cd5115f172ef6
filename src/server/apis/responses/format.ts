import type { Outcome } from '../../../generation/collect.ts'
import type { GenerationPlan } from '../../../generation/plan.ts'
import type { CallScanner, ScannedCalls } from '../../../generation/ports.ts'
import type { RunEnd } from '../../../generation/run.ts'
import type { TextToken } from '../../../generation/sequence.ts'
import { scanAll, wireCall } from '../chat-completions/tool-call-deltas.ts'
import type { AnswerFormat } from '../../wire/respond.ts'
import { OutputEvents } from './output-events.ts'
import type { OutputItemBody, OutputTextBody, ResponseAnswerBody } from './schema.ts'

/** What the request said that its answer repeats, and what it asked to see. */
export interface ResponseShape {
  readonly echoed: Pick<
    ResponseAnswerBody,
    | 'instructions'
    | 'max_output_tokens'
    | 'metadata'
    | 'model'
    | 'parallel_tool_calls'
    | 'reasoning'
    | 'text'
    | 'tool_choice'
    | 'tools'
    | 'user'
  >
  readonly maxCalls: number
  readonly scanner: () => CallScanner | null
  /** Log-probabilities of tokens as they stand beside a text; none unless asked for. */
  readonly logprobs: (tokens: readonly TextToken[]) => OutputTextBody['logprobs']
}

/** OpenAI's responses: one answer, and in a stream every step of it as a typed event. */
export function responseFormat(plan: GenerationPlan, shape: ResponseShape): AnswerFormat<ResponseAnswerBody> {
  const id = plan.requestId
  const begun: ResponseAnswerBody = {
    ...{ id: `resp_${id}`, object: 'response', created_at: Math.floor(Date.now() / 1000), status: 'in_progress' },
    ...{ background: false, error: null, incomplete_details: null, output: [], previous_response_id: null },
    ...{ store: false, truncation: 'disabled', usage: null, ...shape.echoed },
    temperature: plan.sampling.temperature,
    top_p: plan.sampling.topP,
  }
  const ended = (output: OutputItemBody[], reason: 'stop' | 'length', end: RunEnd): ResponseAnswerBody => ({
    ...begun,
    status: reason === 'length' ? 'incomplete' : 'completed',
    incomplete_details: reason === 'length' ? { reason: 'max_output_tokens' } : null,
    output,
    usage: {
      input_tokens: end.usage.prompt_tokens,
      input_tokens_details: { cached_tokens: end.usage.prompt_tokens_details.cached_tokens },
      output_tokens: end.usage.completion_tokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: end.usage.total_tokens,
    },
    provenance: end.provenance,
  })

  const events = new OutputEvents(id)
  const scanner = shape.scanner()
  let calls = 0
  let started = false
  const write = ({ text, calls: found }: ScannedCalls, tokens: readonly TextToken[]): object[] => {
    const taken = found.slice(0, shape.maxCalls - calls)
    calls += taken.length
    return [
      ...(text === '' ? [] : events.text(text, shape.logprobs(tokens))),
      ...taken.flatMap((call) => events.call(wireCall(call))),
    ]
  }
  const start = (): object[] => {
    if (started) return []
    started = true
    return [events.of('response.created', { response: begun }), events.of('response.in_progress', { response: begun })]
  }

  return {
    answer: (outcome: Outcome) => {
      const [choice] = outcome.choices
      if (!choice) throw new Error('a response has one answer')
      const scanned = scanAll(scanner, choice.text, shape.maxCalls)
      const whole = new OutputEvents(id)
      if (scanned.text !== '' || scanned.calls.length === 0) whole.text(scanned.text, shape.logprobs(choice.tokens))
      for (const call of scanned.calls) whole.call(wireCall(call))
      whole.end(choice.reason)
      return ended([...whole.output], choice.reason, outcome)
    },
    chunks: (event) => {
      if (event.type === 'prompt') return start()
      if (event.type === 'text') {
        const scanned = scanner ? scanner.push(event.text) : { text: event.text, calls: [] }
        return [...start(), ...write(scanned, event.tokens)]
      }
      const rest = scanner ? write(scanner.flush(), []) : []
      const chunks = [...start(), ...rest, ...events.end(event.reason)]
      if (!event.end) return chunks
      const response = ended([...events.output], event.reason, event.end)
      return [...chunks, events.of(`response.${response.status}`, { response })]
    },
    style: {
      name: (object) => String((object as { type?: unknown }).type),
      last: null,
      failure: ({ error }) => events.of('error', { ...error, error }),
    },
  }
}
