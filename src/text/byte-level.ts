/**
 * The alphabet of byte-level BPE (GPT-2): every byte is written as one printable character. Printable Latin-1 bytes stand for
 * themselves, the 68 others for the characters from U+0100 on, in order.
 */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = (() => {
  const alphabet = new Map<string, number>()
  let next = 0x100
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
    alphabet.set(String.fromCharCode(printable ? byte : next++), byte)
  }
  return alphabet
})()

/** The bytes a token of a byte-level vocabulary stands for; a token with characters outside the alphabet is taken as its UTF-8. */
export function byteLevelBytes(token: string): Uint8Array {
  const bytes: number[] = []
  for (const character of token) {
    const byte = BYTE_OF_CHARACTER.get(character)
    if (byte === undefined) return new TextEncoder().encode(token)
    bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}

/** The byte of a byte-fallback token such as `<0x0A>`; null for every other token. */
export function fallbackByte(token: string): number | null {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : null
}
