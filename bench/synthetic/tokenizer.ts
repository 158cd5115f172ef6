import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const SPECIAL = ['<s>', '</s>']

/** Writes a byte-level tokenizer: every byte is a token, the rest of the vocabulary are words that only a model can choose. */
export function writeTokenizer(dir: string, vocab: number): void {
  const tokens = [...SPECIAL, ...byteTokens()]
  while (tokens.length < vocab) tokens.push(`Ġw${tokens.length.toString(36)}`)
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false }
  const definition = {
    version: '1.0',
    added_tokens: SPECIAL.map((content, id) => ({
      ...{ id, content, special: true },
      ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: [] },
  }
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(definition))
  const config = { tokenizer_class: 'PreTrainedTokenizerFast', bos_token: SPECIAL[0], eos_token: SPECIAL[1] }
  writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify(config))
}

/** One character for each byte, in the order of the bytes: printable ones stand for themselves, as in GPT-2. */
function byteTokens(): string[] {
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
    return String.fromCodePoint(printable ? byte : next++)
  })
}
