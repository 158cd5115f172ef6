const SYLLABLES =
  'a e i o u ba co di er in tion al st re on en th an or ing ed pre con ly ment s t n r l m p k g f w y x z q'.split(
    ' ',
  )
const PUNCTUATION = [...'"{}[]:,\\/();.!?-_=<>\n \'*#']
const FOREIGN = [...'éüñßядж和中国のはᄒ한국🙂']

/** Tokens in the shape of a large vocabulary: words, numbers, punctuation, indentation, parts of characters. Always the same. */
export function syntheticTokens(count: number): Uint8Array[] {
  let seed = 7
  const below = (n: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
    return (seed >>> 8) % n
  }
  const found = new Map<string, Uint8Array>()
  const add = (bytes: Uint8Array): void => void found.set(Buffer.from(bytes).toString('latin1'), bytes)
  const text = (token: string): void => add(Buffer.from(token))
  const pick = (from: readonly string[]): string => from[below(from.length)]!
  for (let byte = 0; byte < 256; byte++) add(Uint8Array.of(byte))
  for (let i = 0; i < 1000; i++) for (const width of [1, 2, 3]) text(String(i).padStart(width, '0'))
  for (let i = 1; i < 80; i++) for (const token of [' '.repeat(i), '\n' + ' '.repeat(i)]) text(token)
  for (const a of PUNCTUATION) for (const b of PUNCTUATION) text(a + b + (below(3) === 0 ? pick(PUNCTUATION) : ''))
  while (found.size < count) {
    const word = Array.from({ length: 1 + below(5) }, () => pick(SYLLABLES)).join('')
    const kind = below(20)
    if (kind < 9) text(` ${word}`)
    else if (kind < 12) text(word[0]!.toUpperCase() + word.slice(1))
    else if (kind === 12) text(pick(FOREIGN) + pick(FOREIGN) + pick(FOREIGN))
    else if (kind === 13) text(pick(PUNCTUATION) + word)
    else if (kind === 14 && below(4) === 0)
      add(Buffer.concat([Buffer.from(word), Uint8Array.of(0xe4, 0xb8 + below(3))]))
    else text(word)
  }
  return [...found.values()]
}
