/** What the pages are in use for, in pages. */
export interface PageCounts {
  readonly pages: number
  /** Nothing is in them. */
  readonly free: number
  /** Nobody uses them, but a later prompt may begin with them. */
  readonly cached: number
  /** Sequences use them. */
  readonly used: number
  /** More than one sequence uses them. */
  readonly shared: number
}

/**
 * The books of the KV memory: who uses which page, and which full pages later sequences can find by key. Pure bookkeeping, the contents are the device's.
 *
 *     free ──take──▶ used (1 … n references) ──last release──▶ free
 *                      ▲         │ published under a key
 *                      └─retain──┴──▶ cached (0 references) ──take, least recently used first──▶ used
 */
export class KvPages {
  readonly count: number
  readonly #references: Int32Array
  readonly #free: number[]
  readonly #byKey = new Map<string, number>()
  readonly #keys: (string | null)[]
  /** Pages without references that have a key; what was used least recently comes first. */
  readonly #cached = new Set<number>()
  #shared = 0
  #evictions = 0

  constructor(count: number) {
    this.count = count
    this.#references = new Int32Array(count)
    this.#free = Array.from({ length: count }, (_, i) => count - 1 - i)
    this.#keys = new Array<string | null>(count).fill(null)
  }

  /** Pages that `take` can give now. */
  get available(): number {
    return this.#free.length + this.#cached.size
  }

  /** Published pages that gave way to others, from the start. */
  get evictions(): number {
    return this.#evictions
  }

  counts(): PageCounts {
    const [free, cached] = [this.#free.length, this.#cached.size]
    return { pages: this.count, free, cached, used: this.count - free - cached, shared: this.#shared }
  }

  /** A page with one reference, the caller's. Throws when none is available. */
  take(): number {
    const page = this.#free.pop() ?? this.#evict()
    this.#references[page] = 1
    return page
  }

  retain(page: number): void {
    const references = ++this.#references[page]!
    if (references === 1) {
      if (!this.#cached.delete(page)) throw new Error(`page ${page} is free and cannot be shared`)
    } else if (references === 2) this.#shared++
  }

  release(page: number): void {
    const references = --this.#references[page]!
    if (references < 0) throw new Error(`page ${page} was released more often than it was taken`)
    if (references === 1) this.#shared--
    if (references > 0) return
    if (this.#keys[page] === null) this.#free.push(page)
    else this.#cached.add(page)
  }

  /** Whether somebody uses the page. */
  isUsed(page: number): boolean {
    return this.#references[page]! > 0
  }

  /** Whether writing to the page would change what another sequence reads. */
  isShared(page: number): boolean {
    return this.#references[page]! > 1
  }

  /** The page published under a key; undefined when there is none. */
  find(key: string): number | undefined {
    return this.#byKey.get(key)
  }

  /**
   * Makes a full page known under a key that stands for all it depends on.
   *
   * @returns the page that is known under the key: this one, or one with the same contents that was there before
   */
  publish(key: string, page: number): number {
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    if (this.#keys[page] !== null) throw new Error(`page ${page} has a key already`)
    this.#byKey.set(key, page)
    this.#keys[page] = key
    return page
  }

  /**
   * Throws when references, keys and free pages contradict each other or the page tables.
   *
   * @param tables of everybody who holds references
   */
  checkIntegrity(tables: Iterable<readonly number[]>): void {
    const expected = new Int32Array(this.count)
    for (const table of tables) for (const page of table) expected[page]!++
    const free = new Set(this.#free)
    if (free.size !== this.#free.length) throw new Error('a page is free twice')
    let shared = 0
    for (let page = 0; page < this.count; page++) {
      const references = this.#references[page]!
      if (references !== expected[page])
        throw new Error(`page ${page} counts ${references} users, has ${expected[page]}`)
      if (references > 1) shared++
      const key = this.#keys[page]!
      if (key !== null && this.#byKey.get(key) !== page) throw new Error(`page ${page} is not found under its key`)
      const place = Number(references > 0) + Number(free.has(page)) + Number(this.#cached.has(page))
      if (place !== 1) throw new Error(`page ${page} is in ${place} places`)
      if (this.#cached.has(page) && key === null) throw new Error(`page ${page} is cached without a key`)
      if (free.has(page) && key !== null) throw new Error(`page ${page} is free and has a key`)
    }
    if (shared !== this.#shared) throw new Error(`${this.#shared} pages count as shared, ${shared} are`)
    const keyed = this.#keys.filter((key) => key !== null).length
    if (keyed !== this.#byKey.size) throw new Error(`${this.#byKey.size} keys for ${keyed} pages`)
  }

  #evict(): number {
    const oldest = this.#cached.values().next()
    if (oldest.done) throw new Error('no page is available')
    const page = oldest.value
    this.#cached.delete(page)
    this.#byKey.delete(this.#keys[page]!)
    this.#keys[page] = null
    this.#evictions++
    return page
  }
}
