import { createRequire, syncBuiltinESMExports } from 'node:module'

type Call = (...args: unknown[]) => Promise<unknown>

/** Operations that write. */
const WRITING = ['open', 'writeFile', 'mkdir', 'rename'] as const

const promises = (createRequire(import.meta.url)('node:fs') as { promises: Record<(typeof WRITING)[number], Call> })
  .promises

/**
 * Makes one operation on the files below a folder fail, like a disk that is full at that moment. Reaches all modules of this
 * thread that import `node:fs/promises`.
 */
export class FaultyFiles {
  readonly #root: string
  readonly #originals = new Map(WRITING.map((name) => [name, promises[name]]))
  /** Operations since the last `failAt`. */
  operations = 0
  #failing = Infinity
  #count = 0

  constructor(root: string) {
    this.#root = root
    for (const [name, original] of this.#originals) promises[name] = (...args) => this.#call(original, args)
    syncBuiltinESMExports()
  }

  /** The operation number `index` from now on fails, and the `count - 1` after it. */
  failAt(index: number, count = 1): void {
    this.operations = 0
    this.#failing = index
    this.#count = count
  }

  /** Nothing fails any more. */
  heal(): void {
    this.failAt(Infinity)
  }

  restore(): void {
    for (const [name, original] of this.#originals) promises[name] = original
    syncBuiltinESMExports()
  }

  async #call(original: Call, args: unknown[]): Promise<unknown> {
    const path = args.find((arg) => typeof arg === 'string')
    // Content is written through handles that come from `open`: those are not paths below the folder.
    if (path === undefined || !path.startsWith(this.#root)) return original(...args)
    if (args[1] === 'r') return original(...args)
    const index = this.operations++
    if (index >= this.#failing && index < this.#failing + this.#count) {
      throw Object.assign(new Error(`ENOSPC: no space left on device, '${path}'`), { code: 'ENOSPC', path })
    }
    return original(...args)
  }
}
