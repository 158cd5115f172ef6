/** A trie in the order of its bytes: a node's subtree follows it. Flat, so that threads can share it. */
interface Trie {
  readonly bytes: Uint8Array
  readonly depths: Uint8Array
  /** Where the subtree ends. */
  readonly ends: Int32Array
  /** Tokens that end at a node: `tokens[first[i]] … tokens[first[i + 1] - 1]`. */
  readonly first: Int32Array
  readonly tokens: Int32Array
}

/** Plain data: what of a vocabulary can be shared between threads. */
export interface VocabularyData {
  /** Bits of a mask: the width of the model's logits. */
  readonly size: number
  readonly all: Trie
  /** Tokens that are not plain text. */
  readonly special: Trie
  /** Ids of plain tokens, by their number of characters. */
  readonly plain: Int32Array
  /** `plain[plainEnds[n - 1]] …`: the plain tokens of `n` characters. */
  readonly plainEnds: Int32Array
  /** Bytes of token `i`: `text[starts[i]] … text[starts[i + 1] - 1]`; none for tokens that are no text. */
  readonly text: Uint8Array
  readonly starts: Int32Array
}

/** Longest token that is walked; longer ones are never allowed. */
const MAX_TOKEN_BYTES = 250

/**
 * Sorts the tokens of a vocabulary into tries.
 *
 * @param tokens the bytes of each id; null where a token is no text, such as special ones
 */
export function vocabularyOf(tokens: readonly (Uint8Array | null)[], size: number): VocabularyData {
  const usable = tokens.map((bytes) => (bytes && bytes.length > 0 && bytes.length <= MAX_TOKEN_BYTES ? bytes : null))
  // Latin-1 strings sort as their bytes do, and much faster.
  const keyed = usable.flatMap((bytes, id) => (bytes ? [{ id, key: Buffer.from(bytes).toString('latin1') }] : []))
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.id - b.id))
  const lengths = usable.map((bytes) => (bytes ? plainLength(bytes) : 0))
  const plain = keyed.map(({ id }) => id).filter((id) => lengths[id]! > 0)
  plain.sort((a, b) => lengths[a]! - lengths[b]!)
  const longest = plain.length === 0 ? 0 : lengths[plain.at(-1)!]!
  const plainEnds = sharedInt32(longest + 1)
  for (const id of plain) plainEnds[lengths[id]!]!++
  for (let i = 1; i <= longest; i++) plainEnds[i]! += plainEnds[i - 1]!
  const starts = sharedInt32(tokens.length + 1)
  for (const [id, bytes] of usable.entries()) starts[id + 1] = starts[id]! + (bytes?.length ?? 0)
  const text = sharedBytes(starts[tokens.length]!)
  for (const [id, bytes] of usable.entries()) if (bytes) text.set(bytes, starts[id])
  const all = trieOf(keyed)
  const special = trieOf(keyed.filter(({ id }) => lengths[id] === 0))
  return { size, all, special, plain: sharedFrom(plain), plainEnds, text, starts }
}

function trieOf(keyed: readonly { readonly id: number; readonly key: string }[]): Trie {
  const bytes: number[] = []
  const depths: number[] = []
  const first: number[] = []
  const tokens: number[] = []
  const path: number[] = []
  const ends: number[] = []
  let previous = ''
  const close = (depth: number): void => {
    while (path.length > depth) ends[path.pop()!] = bytes.length
  }
  for (const { id, key } of keyed) {
    let shared = 0
    while (shared < previous.length && previous.charCodeAt(shared) === key.charCodeAt(shared)) shared++
    close(shared)
    for (let i = shared; i < key.length; i++) {
      path.push(bytes.length)
      bytes.push(key.charCodeAt(i))
      depths.push(i)
      first.push(tokens.length)
    }
    tokens.push(id)
    previous = key
  }
  close(0)
  first.push(tokens.length)
  const shared = { bytes: sharedBytes(bytes.length), depths: sharedBytes(bytes.length) }
  shared.bytes.set(bytes)
  shared.depths.set(depths)
  return { ...shared, ends: sharedFrom(ends), first: sharedFrom(first), tokens: sharedFrom(tokens) }
}

/** Characters of a token that is plain text: whole ones, no quote, backslash or control character. 0 for others. */
function plainLength(bytes: Uint8Array): number {
  let length = 0
  for (let i = 0; i < bytes.length; length++) {
    const byte = bytes[i]!
    if (byte < 0x20 || byte === 0x22 || byte === 0x5c || (byte >= 0x80 && byte < 0xc2) || byte > 0xf4) return 0
    const width = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
    const second = bytes[i + 1] ?? 0
    // Overlong forms, surrogates, and what is beyond Unicode.
    if ((byte === 0xe0 && second < 0xa0) || (byte === 0xed && second > 0x9f)) return 0
    if ((byte === 0xf0 && second < 0x90) || (byte === 0xf4 && second > 0x8f)) return 0
    for (let k = 1; k < width; k++) if ((bytes[i + k] ?? 0) >> 6 !== 2) return 0
    i += width
  }
  return length
}

function sharedInt32(length: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(length * 4))
}

function sharedBytes(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(length))
}

function sharedFrom(values: readonly number[]): Int32Array {
  const out = sharedInt32(values.length)
  out.set(values)
  return out
}
