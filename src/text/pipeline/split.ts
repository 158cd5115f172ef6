/** A piece of the text; `first` where it begins at the very beginning of what is encoded. */
export interface Piece {
  readonly text: string
  readonly first: boolean
}

export const BEHAVIORS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const
export type Behavior = (typeof BEHAVIORS)[number]

interface Span {
  start: number
  end: number
  readonly match: boolean
}

/**
 * Cuts a piece at the matches of a global expression. What the behaviours do with a match: drop it, keep it as a piece of its own, join it
 * to the piece before or after it, or join neighbouring matches. `invert` takes what lies between the matches for the matches.
 */
export function split(piece: Piece, pattern: RegExp, behavior: Behavior, invert = false): Piece[] {
  const { text } = piece
  const spans = spansOf(text, pattern, invert)
  const kept = behavior === 'Removed' ? spans.filter(({ match }) => !match) : joined(spans, behavior)
  return kept
    .filter(({ start, end }) => end > start)
    .map(({ start, end }) => ({ text: text.slice(start, end), first: piece.first && start === 0 }))
}

function spansOf(text: string, pattern: RegExp, invert: boolean): Span[] {
  const spans: Span[] = []
  let before = 0
  for (const found of text.matchAll(pattern)) {
    const end = found.index + found[0].length
    if (found.index > before) spans.push({ start: before, end: found.index, match: invert })
    spans.push({ start: found.index, end, match: !invert })
    before = end
  }
  if (before < text.length) spans.push({ start: before, end: text.length, match: invert })
  return spans
}

function joined(spans: readonly Span[], behavior: Exclude<Behavior, 'Removed'>): readonly Span[] {
  if (behavior === 'Isolated') return spans
  const backward = behavior === 'MergedWithNext'
  const out: Span[] = []
  let previous = false
  for (const span of backward ? spans.toReversed() : spans) {
    const last = out.at(-1)
    const join = behavior === 'Contiguous' ? span.match === previous : span.match && !previous
    if (!join || last === undefined) out.push({ ...span })
    else if (backward) last.start = span.start
    else last.end = span.end
    previous = span.match
  }
  return backward ? out.reverse() : out
}
