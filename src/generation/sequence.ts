import { TroupeError } from '../core/errors.ts'
import type { FinishReason, GenerationEvent, TokenLogprob } from '../core/generation.ts'
import type { TextPort } from './ports.ts'

/** A generated token and where its text begins in the completion, in UTF-16 units. */
export interface TextToken {
  readonly token: number
  readonly offset: number
  readonly logprob: TokenLogprob | null
}

export type SequenceEvent =
  | { readonly type: 'started'; readonly queueMs: number }
  | { readonly type: 'reused'; readonly tokens: number }
  | { readonly type: 'prompt'; readonly logprobs: readonly (TokenLogprob | null)[] }
  /** Text that is final, with the tokens it completes. */
  | { readonly type: 'text'; readonly text: string; readonly tokens: readonly TextToken[] }
  | { readonly type: 'finish'; readonly reason: 'stop' | 'length' }

/** What an answer's tokens mean: texts that end it, and special tokens that are a part of it. */
export interface AnswerReading {
  readonly stop: readonly string[]
  /** The stop text that was met is a part of the answer. */
  readonly stopShown: boolean
  readonly shown: readonly number[]
  /** Tokens that end the answer and are reported with it, for readers who need every token that was drawn. */
  readonly endings: readonly number[]
}

type FinishEvent = Extract<GenerationEvent, { type: 'finish' }>

/** The result of an ended sequence's last words. */
type Ended = Extract<FinishReason, 'stop' | 'length'>

/**
 * Turns the tokens of one sequence into text. A stop string ends it: the events are left, which cancels the sequence in the engine.
 * `onToken` is told every generated token as it arrives. Throws the signal's reason when that aborted, `internal` when the engine failed.
 *
 * @param signal the one that the engine was given with the sequence
 */
export async function* readSequence(
  events: AsyncIterable<GenerationEvent>,
  text: TextPort,
  reading: AnswerReading,
  signal: AbortSignal,
  onToken: () => void,
): AsyncGenerator<SequenceEvent, void, void> {
  const detokenizer = text.detokenizer(reading.shown)
  const stops = text.stopStrings(reading.stop)
  let pending: TextToken[] = []
  let decoded = 0
  let sent = 0

  /** Final text and the tokens that begin in it; at the `end` also those without text. */
  const take = (piece: string, end: boolean): SequenceEvent => {
    sent += piece.length
    const tokens = pending.filter((token) => end || token.offset < sent)
    pending = pending.slice(tokens.length)
    return { type: 'text', text: piece, tokens }
  }

  const scan = (piece: string): { readonly text: string; readonly stopped: boolean } => {
    const { text: final, stopped, stop } = stops.push(piece)
    return { text: reading.stopShown && stop !== null ? final + stop : final, stopped }
  }
  const endOfText = (): { readonly text: string; readonly stopped: boolean } => {
    const last = scan(detokenizer.flush())
    return last.stopped ? last : { text: last.text + stops.flush(), stopped: false }
  }

  for await (const event of events) {
    if (event.type === 'token') {
      onToken()
      pending.push({ token: event.token, offset: decoded, logprob: event.logprob })
      if (reading.endings.includes(event.token)) {
        const rest = endOfText()
        yield take(rest.text, !rest.stopped)
        return yield { type: 'finish', reason: 'stop' }
      }
      const piece = detokenizer.push(event.token)
      decoded += piece.length
      const { text: final, stopped } = scan(piece)
      if (final !== '') yield take(final, false)
      if (stopped) return yield { type: 'finish', reason: 'stop' }
    } else if (event.type === 'finish') {
      const reason = endReason(event, signal)
      const { text: rest, stopped } = endOfText()
      if (rest !== '' || pending.length > 0) yield take(rest, !stopped)
      return yield { type: 'finish', reason: stopped ? 'stop' : reason }
    } else yield event
  }
}

function endReason({ reason, code = 'internal', message }: FinishEvent, signal: AbortSignal): Ended {
  if (reason === 'stop' || reason === 'length') return reason
  if (signal.aborted) throw signal.reason
  if (reason === 'cancelled') throw new TroupeError('not_ready', 'the server is stopping')
  const cause = new Error(message ?? 'the engine gave no reason')
  if (code !== 'internal') throw new TroupeError(code, cause.message, { cause })
  throw new TroupeError('internal', 'the engine failed: the log has the details under the request id', { cause })
}
