/** A trie in the order of its bytes: a node's subtree follows it. Flat, so that threads can share it. */
export interface Trie {
  readonly bytes: Uint8Array
  readonly depths: Uint8Array
  /** Where the subtree ends. */
  readonly ends: Int32Array
  /** Tokens that end at a node: `tokens[first[i]] … tokens[first[i + 1] - 1]`. */
  readonly first: Int32Array
  readonly tokens: Int32Array
}

/** The tokens of a model as constraints read them. Plain data in shared memory. */
export interface VocabularyData {
  /** Bits of a mask: the width of the model's logits. */
  readonly size: number
  readonly all: Trie
  /** Tokens that are not plain text. */
  readonly special: Trie
  /** Ids of plain tokens, by their number of characters. */
  readonly plain: Int32Array
  /** How many plain tokens have at most `i` characters. */
  readonly plainEnds: Int32Array
  /** Bytes of token `i`: `text[starts[i]] … text[starts[i + 1] - 1]`; none for tokens that are no text. */
  readonly text: Uint8Array
  readonly starts: Int32Array
}

/** What an answer is held to. Plain data in shared memory: it crosses threads without being copied. */
export interface Constraint {
  /** Of what was compiled, and for whom: equal digests, equal grammars. */
  readonly digest: string
  /** The compiled grammar, serialised. */
  readonly grammar: Uint8Array
  readonly vocabulary: VocabularyData
  /** What of the answer stands at the end of the prompt. */
  readonly begun: string
  /** Tokens that may stand where the answer may end. */
  readonly endTokens: readonly number[]
}
