import type { JsonObject } from '../../core/json.ts'

/** Tokens of the model by text. */
export type Vocabulary = ReadonlyMap<string, number>

/** Words → ids. */
export interface TokenModel {
  readonly vocabulary: Vocabulary
  encode(word: string): readonly number[]
}

/** A vocabulary written as an object from text to id. */
export function vocabularyOf(tokens: JsonObject): Vocabulary {
  const vocabulary = new Map<string, number>()
  for (const [token, id] of Object.entries(tokens)) {
    if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0)
      throw new Error(`model.vocab: the id of ${JSON.stringify(token)} is no whole number from 0 on`)
    vocabulary.set(token, id)
  }
  return vocabulary
}

/** The ids of all bytes of a text by their fallback tokens; null when one is missing. */
export function byteIds(text: string, fallbacks: readonly (number | undefined)[]): number[] | null {
  const ids: number[] = []
  for (const byte of Buffer.from(text, 'utf8')) {
    const id = fallbacks[byte]
    if (id === undefined) return null
    ids.push(id)
  }
  return ids
}
