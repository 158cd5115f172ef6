/** How a model writes calls of functions into its answer. Texts may have markers in them, which can be special tokens. */
export interface CallSyntax {
  /** Before the first call, between two of them, and after the last. */
  readonly first: string
  readonly between: string
  readonly last: string
  /** Before a call's name, between name and arguments, and after the arguments, which are a JSON object. */
  readonly open: string
  readonly middle: string
  readonly close: string
  /** What may stand between the name and `middle`: this and nine letters or digits. Null = nothing. */
  readonly id: string | null
  /** What text that stands where a call could must not have in it; null = it must not begin as a call does. */
  readonly sign: string | null
  /** Markers; a model may have a special token for each. */
  readonly markers: readonly string[]
}

/**
 * What an answer that is a call begins with, up to a place where tokens part anyhow.
 *
 * @param name the function to call; null leaves the choice to the model
 */
export function callOpening({ first, open, middle, id }: CallSyntax, name: string | null): string {
  if (name === null) return first + open.replace(/ "$/, '')
  return first + open + name + (id ?? middle.trimEnd())
}

/** First byte of what stands for a marker's special token in a vocabulary; its number in `markers` follows. No text has it. */
export const MARKER_BYTE = 0xff
