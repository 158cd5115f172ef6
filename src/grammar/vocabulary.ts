import type { Trie, VocabularyData } from '../core/constraint.ts'

/** Longest token that is walked; longer ones are never allowed. */
const MAX_TOKEN_BYTES = 250

/**
 * Sorts the tokens of a vocabulary into tries.
 *
 * @param tokens the bytes of each id; null where a token is no text, such as special ones
 */
export function vocabularyOf(tokens: readonly (Uint8Array | null)[], size: number): VocabularyData {
  const usable = tokens.map((bytes) => (bytes && bytes.length > 0 && bytes.length <= MAX_TOKEN_BYTES ? bytes : null))
  const keyed = usable.flatMap((bytes, id) => (bytes ? [{ id, key: Buffer.from(bytes).toString('latin1') }] : []))
  // Latin-1 strings sort as their bytes do, and much faster.
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.id - b.id))
  const lengths = Uint8Array.from(usable, (bytes) => (bytes ? plainLength(bytes) : 0))
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0)
  const byLength: number[][] = Array.from({ length: longest + 1 }, () => [])
  for (const [id, length] of lengths.entries()) byLength[length]!.push(id)
  const plain = byLength.slice(1)
  let end = 0
  const plainEnds = [0, ...plain.map((ids) => (end += ids.length))]
  const starts = new Int32Array(tokens.length + 1)
  for (const [id, bytes] of usable.entries()) starts[id + 1] = starts[id]! + (bytes?.length ?? 0)
  const text = new Uint8Array(starts[tokens.length]!)
  for (const [id, bytes] of usable.entries()) if (bytes) text.set(bytes, starts[id])
  return {
    size,
    all: trieOf(keyed),
    special: trieOf(keyed.filter(({ id }) => lengths[id] === 0)),
    plain: sharedInts(plain.flat()),
    plainEnds: sharedInts(plainEnds),
    text: sharedBytes(text),
    starts: sharedInts(starts),
  }
}

/** A token, its bytes as a Latin-1 string. */
interface Keyed {
  readonly id: number
  readonly key: string
}

function trieOf(keyed: readonly Keyed[]): Trie {
  const most = keyed.reduce((sum, { key }) => sum + key.length, 0)
  const bytes = new Uint8Array(most)
  const depths = new Uint8Array(most)
  const ends = new Int32Array(most)
  const first = new Int32Array(most + 1)
  const tokens = new Int32Array(keyed.length)
  const path = new Int32Array(MAX_TOKEN_BYTES + 1)
  let [nodes, count, depth, previous] = [0, 0, 0, '']
  const close = (until: number): void => {
    while (depth > until) ends[path[--depth]!] = nodes
  }
  for (const { id, key } of keyed) {
    let shared = 0
    while (shared < previous.length && previous.charCodeAt(shared) === key.charCodeAt(shared)) shared++
    close(shared)
    for (; depth < key.length; nodes++) {
      path[depth] = nodes
      bytes[nodes] = key.charCodeAt(depth)
      depths[nodes] = depth++
      first[nodes] = count
    }
    tokens[count++] = id
    previous = key
  }
  close(0)
  first[nodes] = count
  return {
    bytes: sharedBytes(bytes.subarray(0, nodes)),
    depths: sharedBytes(depths.subarray(0, nodes)),
    ends: sharedInts(ends.subarray(0, nodes)),
    first: sharedInts(first.subarray(0, nodes + 1)),
    tokens: sharedInts(tokens),
  }
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

function sharedInts(values: ArrayLike<number>): Int32Array {
  const out = new Int32Array(new SharedArrayBuffer(values.length * 4))
  out.set(values)
  return out
}

function sharedBytes(values: ArrayLike<number>): Uint8Array {
  const out = new Uint8Array(new SharedArrayBuffer(values.length))
  out.set(values)
  return out
}
