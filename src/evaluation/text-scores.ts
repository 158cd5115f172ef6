/** Every score here is 0 to 1, for an answer and what was expected. */

/** Equal, but for blanks around it. */
export function exactMatch(answer: string, expected: string): number {
  return answer.trim() === expected.trim() ? 1 : 0
}

/** Equal after `normalised`. */
export function normalisedMatch(answer: string, expected: string): number {
  return normalised(answer) === normalised(expected) ? 1 : 0
}

/** Harmonic mean of precision and recall of normalised words, counted as often as they stand there (SQuAD, Rajpurkar et al. 2016). */
export function tokenF1(answer: string, expected: string): number {
  const [given, wanted] = [words(normalised(answer), ' '), words(normalised(expected), ' ')]
  if (given.length === 0 || wanted.length === 0) return given.length === wanted.length ? 1 : 0
  const left = new Map<string, number>()
  for (const word of wanted) left.set(word, (left.get(word) ?? 0) + 1)
  let common = 0
  for (const word of given) {
    const count = left.get(word) ?? 0
    if (count === 0) continue
    left.set(word, count - 1)
    common++
  }
  return f1(common, given.length, wanted.length)
}

/** F1 of the longest common subsequence of words (ROUGE-L, Lin 2004), words as Google's `rouge_score` cuts them, without a stemmer. */
export function rougeL(answer: string, expected: string): number {
  const [given, wanted] = [rougeWords(answer), rougeWords(expected)]
  if (given.length === 0 || wanted.length === 0) return 0
  return f1(longestCommon(given, wanted), given.length, wanted.length)
}

const PUNCTUATION = /[!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]/g
const ARTICLES = /(?<![\p{L}\p{N}_])(a|an|the)(?![\p{L}\p{N}_])/gu

/** SQuAD's form of an answer: lower case, without punctuation, articles and more than one blank at a time. */
export function normalised(text: string): string {
  const plain = text.toLowerCase().replace(PUNCTUATION, '').replace(ARTICLES, ' ')
  return words(plain, /\s+/u).join(' ')
}

function rougeWords(text: string): string[] {
  return words(text.toLowerCase().replace(/[^a-z0-9]+/g, ' '), ' ')
}

function words(text: string, separator: string | RegExp): string[] {
  return text.split(separator).filter((word) => word !== '')
}

function f1(common: number, given: number, wanted: number): number {
  if (common === 0) return 0
  const [precision, recall] = [common / given, common / wanted]
  return (2 * precision * recall) / (precision + recall)
}

/** Length of the longest common subsequence, row by row: memory grows with the shorter text only. */
function longestCommon(one: readonly string[], other: readonly string[]): number {
  const [rows, columns] = one.length > other.length ? [one, other] : [other, one]
  let before = new Uint32Array(columns.length + 1)
  let current = new Uint32Array(columns.length + 1)
  for (const row of rows) {
    for (const [i, column] of columns.entries())
      current[i + 1] = row === column ? before[i]! + 1 : Math.max(before[i + 1]!, current[i]!)
    const former = before
    before = current
    current = former
  }
  return before[columns.length]!
}
