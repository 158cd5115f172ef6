/** Ids and texts of tokens. Those of a longer list stand before those of the one that it goes on from. */
export class TokenNames {
  readonly #texts = new Map<number, string>()
  readonly #ids = new Map<string, number>()
  readonly #base: TokenNames | null
  /** Ids are below this. */
  #size: number

  constructor(base: TokenNames | null = null) {
    this.#base = base
    this.#size = base?.size ?? 0
  }

  get size(): number {
    return this.#size
  }

  /** @param written what it becomes in a text, where that is not the text that it is found by */
  set(id: number, text: string, written = text): void {
    this.#texts.set(id, written)
    this.#ids.set(text, id)
    this.#size = Math.max(this.#size, id + 1)
  }

  idOf(text: string): number | null {
    return this.#ids.get(text) ?? this.#base?.idOf(text) ?? null
  }

  textOf(id: number): string | null {
    return this.#texts.get(id) ?? this.#base?.textOf(id) ?? null
  }
}
