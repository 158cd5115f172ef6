/** A token that is found in a text before anything else. */
export interface AddedToken {
  readonly id: number
  readonly content: string
  /** Left out of the text of an answer. */
  readonly special: boolean
  /** Only found where no word goes on at either side. */
  readonly singleWord: boolean
  /** Takes the white space before and after it along. */
  readonly lstrip: boolean
  readonly rstrip: boolean
  /** Looked for in the normalized text, in its own normalized form. */
  readonly normalized: boolean
}

/** What an adapter has of tokens beside the base model's. */
export interface OwnTokens {
  /** Tokens from the base model's vocabulary on that have a row of their own in the embedding. */
  readonly rows: number
  /** Tokens that its tokenizer has and the base model's has not, or calls otherwise. */
  readonly added: readonly AddedToken[]
  /** Tokens that end its answers besides the base model's. */
  readonly ends: readonly number[]
}
