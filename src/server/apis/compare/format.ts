import type { FastifyRequest } from 'fastify'
import type { CompareEvent, CompareSummary, MixAnswer } from '../../../generation/compare.ts'
import type { PinnedMix } from '../../../generation/mixes.ts'
import type { RouteDeps } from '../../deps.ts'
import { envelope, toTroupeError } from '../../error-envelope.ts'
import type { ErrorEnvelope } from '../../error-envelope.ts'
import { pinnedMixBody } from '../../wire/mixes.ts'
import type { EventStyle } from '../../wire/sse.ts'
import type { CompareAnswerBody } from './schema.ts'

/** What one event says; `type` is its name. */
export type CompareObject =
  | { readonly type: 'start'; readonly mixes: CompareAnswerBody['mixes'] }
  | Extract<CompareEvent, { type: 'delta' }>
  | ({ readonly type: 'end' } & MixAnswer)
  /** Without an index: the whole comparison failed. */
  | { readonly type: 'error'; readonly index: number | null; readonly error: ErrorEnvelope['error'] }
  | ({ readonly type: 'summary' } & CompareSummary)

export const compareStyle: EventStyle = {
  name: (object) => (object as CompareObject).type,
  last: null,
  failure: ({ error }) => ({ type: 'error', index: null, error }) satisfies CompareObject,
}

/** A comparison as the objects of its stream. */
export async function* compareEvents(
  events: AsyncIterable<CompareEvent>,
  mixes: readonly PinnedMix[],
  { catalogue }: Pick<RouteDeps, 'catalogue'>,
  { id, log }: Pick<FastifyRequest, 'id' | 'log'>,
): AsyncGenerator<CompareObject, void, void> {
  for await (const event of events) {
    if (event.type === 'start')
      yield { type: 'start', mixes: mixes.map((mix, index) => pinnedMixBody(mix, index, catalogue)) }
    else if (event.type !== 'failed') yield event
    else {
      const error = toTroupeError(event.error)
      if (error.status >= 500) log.error({ err: event.error, mix: event.index }, 'a mix of a comparison failed')
      yield { type: 'error', index: event.index, ...envelope(error, id) }
    }
  }
}

/** The same as one body. */
export async function comparisonBody(objects: AsyncIterable<CompareObject>): Promise<CompareAnswerBody> {
  let mixes: CompareAnswerBody['mixes'] = []
  const answers = new Map<number, CompareAnswerBody['answers'][number]>()
  for await (const object of objects) {
    if (object.type === 'start') mixes = object.mixes
    else if (object.type === 'end') {
      const { index, text, token_ids, finish_reason, usage, timings } = object
      answers.set(index, { index, text, token_ids: [...token_ids], finish_reason, usage, timings })
    } else if (object.type === 'error' && object.index !== null && !answers.has(object.index)) {
      answers.set(object.index, { index: object.index, error: object.error })
    } else if (object.type === 'summary') {
      const { first_difference, log_likelihoods } = object
      return {
        mixes,
        answers: [...answers.values()].sort((a, b) => a.index - b.index),
        first_difference: [...first_difference],
        log_likelihoods: log_likelihoods && log_likelihoods.map((row) => [...row]),
      }
    }
  }
  throw new Error('the comparison ended without its summary')
}
