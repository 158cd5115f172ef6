import type { DroppedFolders } from './dropped-folders.ts'
import { Serial } from './serial.ts'
import type { StoreFollower } from './store-follower.ts'

/** Where a look at the store takes long, the next one waits this many times as long, as far as every change is seen within two intervals. */
const REST = 50

/** Looks at the store again and again. */
export class StoreWatch {
  readonly #follower: StoreFollower
  readonly #dropped: DroppedFolders
  readonly #intervalMs: number
  readonly #rounds = new Serial()
  readonly #imports = new Set<Promise<void>>()
  #timer: NodeJS.Timeout | null = null
  #stopped = false

  constructor(follower: StoreFollower, dropped: DroppedFolders, intervalMs: number) {
    this.#follower = follower
    this.#dropped = dropped
    this.#intervalMs = intervalMs
  }

  start(): void {
    this.#schedule(this.#intervalMs)
  }

  /** One round; resolves when it and the imports it began have ended. */
  async scan(): Promise<void> {
    await this.#round()
    await Promise.all(this.#imports)
  }

  /** Ends after the round and the imports in progress. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer) clearTimeout(this.#timer)
    await this.#rounds.idle()
    await Promise.all(this.#imports)
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      const from = performance.now()
      void this.#round().then(() => {
        const took = performance.now() - from
        this.#schedule(Math.max(this.#intervalMs, Math.min(took * REST, 2 * this.#intervalMs - took)))
      })
    }, delayMs)
    this.#timer.unref()
  }

  /** Imports are left running: they may take long, and others' changes are to be seen meanwhile. */
  #round(): Promise<void> {
    return this.#rounds.run(async () => {
      const listing = await this.#follower.follow()
      if (!listing) return
      const imports = this.#dropped
        .examine(listing.dropped, performance.now())
        .finally(() => this.#imports.delete(imports))
      this.#imports.add(imports)
    })
  }
}
