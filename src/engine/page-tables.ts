import { PAGE_TOKENS } from '../device/port.ts'
import type { KvPages } from './kv-pages.ts'
import type { Sequence } from './sequence.ts'
import { pagesFor } from './sequence.ts'

/** A page whose contents go to another before the step. */
export interface PageCopy {
  readonly from: number
  readonly to: number
}

/** The page tables of sequences: how they grow, share, fork and give back. */
export class PageTables {
  readonly counters = { lookedUpTokens: 0, foundTokens: 0, copiedPages: 0 }
  readonly #pages: KvPages

  constructor(pages: KvPages) {
    this.#pages = pages
  }

  /** Pages that `grow` would take for `count` more tokens. */
  needed(sequence: Sequence, count: number): number {
    const { pages, cached } = sequence
    const added = Math.max(0, pagesFor(cached + count) - pages.length)
    return added + (this.#writesShared(sequence) ? 1 : 0)
  }

  /** Tokens beyond the cached ones that the pages it has, and those available, hold. */
  fitting(sequence: Sequence): number {
    const pages = sequence.pages.length + this.#pages.available - (this.#writesShared(sequence) ? 1 : 0)
    return pages * PAGE_TOKENS - sequence.cached
  }

  /** Pages that a sequence would share with running ones. */
  sharedInUse(sequence: Sequence): number {
    return this.#find(sequence).filter((page) => this.#pages.isUsed(page)).length
  }

  /**
   * Goes on with pages that are known already. At least one token is left to be evaluated, for its logits.
   *
   * @returns tokens of the prompt that others evaluated for it
   */
  attach(sequence: Sequence): number {
    const { request, wantsPrompt, virtualLength } = sequence
    if (sequence.furthest === 0 && request.tenant !== undefined && !wantsPrompt)
      this.counters.lookedUpTokens += request.tokens.length
    const found = this.#find(sequence)
    for (const page of found) this.#pages.retain(page)
    sequence.pages.push(...found)
    if (found.length > 0) sequence.published = sequence.pages.length
    const before = Math.max(sequence.cached, sequence.furthest, virtualLength)
    sequence.cached += found.length * PAGE_TOKENS
    const reused = Math.max(0, Math.min(sequence.cached, sequence.promptEnd) - before)
    sequence.furthest = Math.max(sequence.furthest, sequence.cached)
    this.counters.foundTokens += reused
    return reused
  }

  /**
   * Makes room for `count` more tokens; `needed` pages must be available. The last page is copied if others read it too.
   *
   * @returns what to copy first; null = nothing
   */
  grow(sequence: Sequence, count: number): PageCopy | null {
    const { pages, cached } = sequence
    let copy: PageCopy | null = null
    if (this.#writesShared(sequence)) {
      const place = pages.length - 1
      copy = { from: pages[place]!, to: this.#pages.take() }
      this.#pages.release(copy.from)
      pages[place] = copy.to
      this.counters.copiedPages++
    }
    while (pages.length < pagesFor(cached + count)) pages.push(this.#pages.take())
    return copy
  }

  /** Makes full pages known to later sequences, and takes those that are known already instead of its own. */
  publish(sequence: Sequence): void {
    const { pages, cached } = sequence
    for (; (sequence.published + 1) * PAGE_TOKENS <= cached; sequence.published++) {
      const key = sequence.keyOf(sequence.published)
      if (key === null) return
      const own = pages[sequence.published]!
      const known = this.#pages.publish(key, own)
      if (known === own) continue
      this.#pages.retain(known)
      this.#pages.release(own)
      pages[sequence.published] = known
    }
  }

  /** Gives a sequence that has no pages those of another whose prompt it shares. */
  fork(from: Sequence, to: Sequence): void {
    for (const page of from.pages) this.#pages.retain(page)
    to.pages.push(...from.pages)
    to.published = from.published
    to.cached = from.cached
    to.furthest = from.furthest
  }

  /** Gives all pages back; the last first, so that what is kept of them loses its end before its beginning. */
  release(sequence: Sequence): void {
    for (const page of sequence.pages.splice(0).reverse()) this.#pages.release(page)
    sequence.published = 0
    sequence.cached = 0
  }

  /** Cuts pages off that the step did not need after all: a draft was refused. */
  trim(sequence: Sequence): void {
    while (sequence.pages.length > pagesFor(sequence.cached)) this.#pages.release(sequence.pages.pop()!)
  }

  #writesShared({ pages, cached }: Sequence): boolean {
    return cached < pages.length * PAGE_TOKENS && cached % PAGE_TOKENS !== 0 && this.#pages.isShared(pages.at(-1)!)
  }

  /** Known pages that follow those of the sequence. */
  #find(sequence: Sequence): number[] {
    const { cached, known, wantsPrompt, writtenLength } = sequence
    if (wantsPrompt || cached % PAGE_TOKENS !== 0) return []
    const found: number[] = []
    for (let page = cached / PAGE_TOKENS; (page + 1) * PAGE_TOKENS < known; page++) {
      const key = sequence.keyOf(page)
      const known = key === null ? undefined : this.#pages.find(key)
      if (known === undefined) break
      found.push(known)
    }
    // Given keys and values are written all at once: a part of them does not help.
    return cached + found.length * PAGE_TOKENS < writtenLength ? [] : found
  }
}
