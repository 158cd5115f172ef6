/** Longest cluster of characters that is looked up as a whole, in bytes of UTF-8: SentencePiece's rule. */
const MAX_CLUSTER = 5

/**
 * SentencePiece's compiled replacements: a double-array trie over UTF-8 (Darts, S. Yata), then the replacements, each ended by a zero byte.
 * A unit of the trie has the label in its low 8 bits, a flag for "ends here" in bit 8, and the offset to its children from bit 10 on,
 * shifted left by 8 when bit 9 is set.
 */
export class Charsmap {
  readonly #units: Uint32Array
  readonly #replacements: Uint8Array
  readonly #clusters = new Intl.Segmenter('en', { granularity: 'grapheme' })
  readonly #known = new Map<string, string | null>()

  private constructor(units: Uint32Array, replacements: Uint8Array) {
    this.#units = units
    this.#replacements = replacements
  }

  /** Reads base64 text. Throws when the trie is cut off. */
  static read(base64: string): Charsmap {
    const bytes = Uint8Array.from(Buffer.from(base64, 'base64'))
    const size = bytes.length < 4 ? 0 : new DataView(bytes.buffer).getUint32(0, true)
    if (size === 0 || size % 4 !== 0 || 4 + size > bytes.length) throw new Error('precompiled_charsmap is damaged')
    const view = new DataView(bytes.buffer, 4, size)
    const units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 * i, true))
    return new Charsmap(units, bytes.subarray(4 + size))
  }

  /** Replaces every cluster of characters that has a replacement, else its single characters. */
  apply(text: string): string {
    let out = ''
    for (const { segment } of this.#clusters.segment(text)) {
      const whole = Buffer.byteLength(segment) <= MAX_CLUSTER ? this.#lookup(segment) : null
      if (whole !== null) out += whole
      else for (const character of segment) out += this.#lookup(character) ?? character
    }
    return out
  }

  #lookup(key: string): string | null {
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const found = this.#search(new TextEncoder().encode(key))
    if (this.#known.size < 4096) this.#known.set(key, found)
    return found
  }

  /** The replacement of the shortest entry that the key begins with: as in SentencePiece's users, the rest of the key is dropped. */
  #search(key: Uint8Array): string | null {
    let at = offsetOf(this.#unit(0))
    for (const byte of key) {
      if (byte === 0) return null
      at ^= byte
      const unit = this.#unit(at)
      if ((unit & 0x800000ff) >>> 0 !== byte) return null
      at ^= offsetOf(unit)
      if ((unit >>> 8) & 1) return this.#replacement(this.#unit(at) & 0x7fffffff)
    }
    return null
  }

  #unit(at: number): number {
    const unit = this.#units[at]
    if (unit === undefined) throw new Error('precompiled_charsmap is damaged')
    return unit
  }

  #replacement(start: number): string {
    const end = this.#replacements.indexOf(0, start)
    return Buffer.from(this.#replacements.subarray(start, end < 0 ? undefined : end)).toString('utf8')
  }
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6)
}
