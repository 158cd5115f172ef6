/** A kind of file that people take for weights. */
export interface ForeignKind {
  /** `a Git LFS pointer, not the file itself` */
  readonly what: string
  /** What to do about it. */
  readonly instead: string
}

const LFS = {
  what: 'a Git LFS pointer, not the file itself',
  instead: 'run "git lfs pull", or download the file itself',
}
const PAGE = {
  what: 'a web page, not the file itself',
  instead: 'the download was answered with a page (a login or an error): download the file again',
}
const GGUF = { what: 'a GGUF file', instead: 'use the safetensors files that it was converted from' }
const SAVE = 'save it as safetensors'

export const JSON_TEXT: ForeignKind = {
  what: 'JSON text',
  instead: 'this may be the answer to a failed download: download the file again',
}

export const PLAIN_TEXT: ForeignKind = { ...JSON_TEXT, what: 'plain text' }

/** By how texts begin. */
const TEXTS: readonly (readonly [RegExp, ForeignKind])[] = [
  [/^version https:\/\/git-lfs\b/, LFS],
  [/^# xet version/, { what: 'an Xet pointer, not the file itself', instead: 'download the file itself' }],
  [/^\s*<(!doctype\s+html|html|head)\b/i, PAGE],
  [/^\s*<\?xml/i, { ...PAGE, what: 'an XML document, not the file itself' }],
  [/^\s*[{[]\s*["{[\]}]/, JSON_TEXT],
  [/^[\t\n\r -~]+$/, PLAIN_TEXT],
]

/** By how other formats begin; one character per byte. */
const MAGIC: readonly (readonly [readonly string[], ForeignKind])[] = [
  [['GGUF'], GGUF],
  [['ggla', 'algg', 'ggml', 'lmgg'], { ...GGUF, what: 'a file of an old llama.cpp' }],
  [['\x93NUMPY'], { what: 'a NumPy array', instead: SAVE }],
  [['\x89HDF'], { what: 'an HDF5 file', instead: SAVE }],
  [['\x1f\x8b'], { what: 'compressed with gzip', instead: 'unpack it' }],
  [
    ['PK\x03\x04', '\x80\x02', '\x80\x03', '\x80\x04', '\x80\x05'],
    { what: 'a pickle or a zip archive', instead: SAVE },
  ],
]

/** How many bytes `foreignKind` looks at. */
export const HEAD_BYTES = 64

/**
 * What a file is that should have been a safetensors file, told by its first bytes; null where they say nothing else. A safetensors header of
 * some lengths begins like another format, but has its `{` at byte 8.
 *
 * @param head the first `HEAD_BYTES` of the file, or all of a shorter one
 */
export function foreignKind(head: Uint8Array): ForeignKind | null {
  if (head.length === 0) return { what: 'empty', instead: 'it was not written or sent whole: save or send it again' }
  if (head[8] === 0x7b) return null
  const text = Buffer.from(head.subarray(0, HEAD_BYTES))
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '')
  const binary = MAGIC.find(([magics]) => magics.some((magic) => text.startsWith(magic)))
  return (binary ?? TEXTS.find(([begins]) => begins.test(text)))?.[1] ?? null
}
