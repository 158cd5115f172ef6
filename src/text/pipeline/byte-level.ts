/**
 * The alphabet of byte-level BPE (GPT-2): every byte is written as one printable character. Printable Latin-1 bytes stand for
 * themselves, the 68 others for the characters from U+0100 on, in order.
 */
const CHARACTER_OF_BYTE: readonly string[] = (() => {
  let next = 0x100
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
    return String.fromCharCode(printable ? byte : next++)
  })
})()
const BYTE_OF_CHARACTER = new Map(CHARACTER_OF_BYTE.map((character, byte) => [character, byte]))
const UTF8 = new TextEncoder()

/** A text in the alphabet: one character for each byte of its UTF-8. */
export function encodeByteLevel(text: string): string {
  let out = ''
  for (const byte of UTF8.encode(text)) out += CHARACTER_OF_BYTE[byte]!
  return out
}

/** The bytes a token of a byte-level vocabulary stands for; a token with characters outside the alphabet is taken as its UTF-8. */
export function byteLevelBytes(token: string): Uint8Array {
  const bytes: number[] = []
  for (const character of token) {
    const byte = BYTE_OF_CHARACTER.get(character)
    if (byte === undefined) return UTF8.encode(token)
    bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}

/** The byte of a byte-fallback token such as `<0x0A>`; null for every other token. */
export function fallbackByte(token: string): number | null {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : null
}

/** The byte-fallback token of a byte. */
export function fallbackToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`
}
