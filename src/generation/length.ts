import { TroupeError } from '../core/errors.ts'

/**
 * How many tokens one sequence may generate.
 * `virtualTokens` of the adapter stand before the prompt and take their part of the context.
 * `requested` is kept as it is and refused when it does not fit; without it `fallback` is cut to what fits (null = all that fits).
 * Throws `context_length_exceeded` naming the lengths, all in tokens.
 */
export function planLength(
  promptTokens: number,
  requested: number | null,
  fallback: number | null,
  maxContext: number,
  virtualTokens: number,
): number {
  const room = maxContext - virtualTokens - promptTokens
  const needed = requested ?? 1
  if (room < needed)
    throw new TroupeError(
      'context_length_exceeded',
      // Clients look for these first words.
      `this model's maximum context length is ${maxContext} tokens` +
        (virtualTokens === 0 ? '' : `, ${virtualTokens} of which are the adapter’s virtual tokens`) +
        `, but the prompt has ${promptTokens} tokens and ` +
        (requested === null
          ? `${needed} more at least is needed, together ${promptTokens + needed}: shorten the prompt`
          : `${needed} more were asked for, together ${promptTokens + needed}: shorten the prompt or ask for fewer`),
      { param: requested === null ? 'prompt' : 'max_tokens' },
    )
  return requested ?? Math.min(room, fallback ?? room)
}
