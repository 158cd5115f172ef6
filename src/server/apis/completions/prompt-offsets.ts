import type { TextPort } from '../../../generation/ports.ts'

/** Where the text of every prompt token begins in the prompt's text, in UTF-16 units; special tokens have no text. */
export function promptOffsets(tokens: Int32Array, text: TextPort): readonly number[] {
  const detokenizer = text.detokenizer()
  let offset = 0
  return Array.from(tokens, (token) => {
    const begin = offset
    offset += detokenizer.push(token).length
    return begin
  })
}
