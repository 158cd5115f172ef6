import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A temporary folder with the given files (objects are written as JSON); removed when the test ends. */
export async function temporaryFolder(files: Readonly<Record<string, string | object>> = {}): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-test-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files))
    await writeFile(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content))
  return dir
}

/** Tokenizer files in the style of SentencePiece: `▁` for spaces, `<0xNN>` for bytes that no token covers. */
export function sentencePieceFiles(): Record<string, object> {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, '▁', 'a', 'b', 'c', 'é', '▁a', '▁ab', 'bc', '▁▁', '.']
  const special = (id: number) => ({
    ...{ id, content: tokens[id], special: true, single_word: false },
    ...{ lstrip: false, rstrip: false, normalized: false },
  })
  const merges = ['▁ a', '▁a b', 'b c', '▁ ▁']
  return {
    'tokenizer.json': {
      version: '1.0',
      added_tokens: [special(0), special(1), special(2)],
      normalizer: {
        type: 'Sequence',
        normalizers: [
          { type: 'Prepend', prepend: '▁' },
          { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
        ],
      },
      pre_tokenizer: null,
      post_processor: null,
      decoder: {
        type: 'Sequence',
        decoders: [
          { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          { type: 'Strip', content: ' ', start: 1, stop: 0 },
        ],
      },
      model: {
        ...{ type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: true, merges },
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      },
    },
    'tokenizer_config.json': { bos_token: '<s>', eos_token: { content: '</s>' } },
  }
}
