import { runInNewContext } from 'node:vm'
import { TroupeError, messageOf } from '../core/errors.ts'

/** Time all patterns of one adapter may take together. */
const BUDGET_MS = 1000
/** Longest pattern worth trying: `all-linear` writes a few hundred characters. */
const MAX_LENGTH = 100_000

/**
 * A Python regular expression as source for a JavaScript one with flag `u`, which refuses what it does not know instead of taking it
 * literally. Escaped punctuation is spelled as a code, since that flag allows only some of it.
 *
 * @throws TroupeError `unsupported_adapter` for constructs that only Python has
 */
export function translatePattern(pattern: string, field: string): string {
  if (pattern.length > MAX_LENGTH) throw refusal(field, pattern, `is longer than ${MAX_LENGTH} characters`)
  const source = pattern
    .replace(/\\([!-/:-@[-`{-~])/g, (_, mark: string) => `\\x${mark.charCodeAt(0).toString(16)}`)
    .replaceAll('(?P<', '(?<')
    .replaceAll('\\A', '^')
    .replaceAll('\\Z', '$')
  try {
    new RegExp(source, 'u')
  } catch (cause) {
    throw refusal(field, pattern, `cannot be read: ${messageOf(cause)}`)
  }
  return source
}

/**
 * Which subjects each pattern matches: `result[pattern][subject]`. Patterns come from uploads, and a short one can take years, so they run
 * under a time limit.
 *
 * @param sources JavaScript sources, anchored as needed
 * @param field the configuration field to name when time runs out
 */
export function matchPatterns(sources: readonly string[], subjects: readonly string[], field: string): boolean[][] {
  if (sources.length === 0) return []
  const code = `sources.map((source) => { const p = new RegExp(source, 'u'); return subjects.map((s) => p.test(s)) })`
  try {
    return runInNewContext(code, { sources, subjects }, { timeout: BUDGET_MS }) as boolean[][]
  } catch (cause) {
    const message = `adapter_config.json: matching "${field}" took more than ${BUDGET_MS} ms; write simpler patterns`
    throw new TroupeError('invalid_adapter', message, { param: field, cause })
  }
}

function refusal(field: string, pattern: string, fault: string): TroupeError {
  const shown = pattern.length > 120 ? `${pattern.slice(0, 117)}...` : pattern
  return new TroupeError('unsupported_adapter', `adapter_config.json: the pattern "${shown}" of "${field}" ${fault}`, {
    param: field,
  })
}
