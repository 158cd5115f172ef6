import { TroupeError } from '../core/errors.ts'

/**
 * How many tokens one sequence may generate.
 * `virtualTokens` of the adapter stand before the prompt and take their part of the context.
 * `requested` is kept as it is and refused when it does not fit; without it `fallback` is cut to what fits (null = all that fits).
 * Throws `prompt_too_long` naming the lengths, all in tokens.
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
      'prompt_too_long',
      `the prompt has ${promptTokens} tokens and ${needed} more ${requested === null ? 'at least are needed' : 'were asked for'}, ` +
        `together ${promptTokens + needed}: the context is ${maxContext} tokens` +
        (virtualTokens === 0 ? '' : `, ${virtualTokens} of which are the adapter’s virtual tokens`),
      { param: requested === null ? 'prompt' : 'max_tokens' },
    )
  return requested ?? Math.min(room, fallback ?? room)
}
