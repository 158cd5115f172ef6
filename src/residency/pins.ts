import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Version } from '../catalogue/version.ts'
import type { Log } from '../core/log.ts'
import { Serial } from '../core/serial.ts'
import type { Leases } from './leases.ts'
import type { MemoryTier, Pin } from './memory-tier.ts'

/** Part of the memory tier that pins may take: the rest is for requests. */
const MAX_SHARE = 0.5

export interface PinsParts {
  readonly tier: MemoryTier
  readonly leases: Pick<Leases, 'pinRequest'>
  readonly log: Log
  /** Digests of what tasks and adapters are pinned to now, most wanted first. */
  readonly wanted: () => readonly string[]
}

/** Keeps pinned versions in memory, follows what is pinned, and lets go of what is not any more. */
export class Pins {
  readonly #parts: PinsParts
  readonly #held = new Map<string, { readonly pin: Pin; readonly bytes: number }>()
  readonly #queue = new Serial()
  readonly #reported = new Set<string>()
  #unmet = 0
  #stopped = false

  constructor(parts: PinsParts) {
    this.#parts = parts
  }

  /** Whether a version is kept in memory. */
  holds(digest: string): boolean {
    return this.#held.has(digest)
  }

  /** Versions kept in memory. */
  get held(): number {
    return this.#held.size
  }

  /** Pinned versions that are not in memory: they do not fit, or could not be loaded. */
  get unmet(): number {
    return this.#unmet
  }

  /** Lets go of what is not pinned any more at once, and loads the rest in its own time. */
  follow(): void {
    if (this.#stopped) return
    const wanted = new Set(this.#parts.wanted())
    for (const digest of this.#held.keys()) if (!wanted.has(digest)) this.release(digest)
    this.#unmet = [...wanted].filter((digest) => !this.#held.has(digest)).length
    if (this.#unmet > 0) void this.#queue.run(() => this.#load())
  }

  /** Lets go of a version that is being deleted. */
  release(digest: string): void {
    const held = this.#held.get(digest)
    if (!held) return
    this.#held.delete(digest)
    held.pin.release()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#queue.idle()
    for (const digest of [...this.#held.keys()]) this.release(digest)
  }

  /** Resolves when what was begun has ended. */
  async settled(): Promise<void> {
    await this.#queue.idle()
  }

  async #load(): Promise<void> {
    for (const digest of this.#parts.wanted()) {
      if (this.#stopped) return
      if (!this.#held.has(digest)) await this.#pin(digest)
    }
    this.#unmet = this.#parts.wanted().filter((digest) => !this.#held.has(digest)).length
  }

  async #pin(digest: string): Promise<void> {
    const { tier, leases } = this.#parts
    const request = leases.pinRequest(digest)
    if (!request) return
    const taken = [...this.#held.values()].reduce((sum, { bytes }) => sum + bytes, 0)
    if (taken + request.bytes > tier.stats().budgetBytes * MAX_SHARE) {
      this.#report(digest, null, 'a pinned version does not fit: pins may take half of the adapter memory')
      return
    }
    try {
      const pin = await tier.pin([request], false)
      // Unpinned or deleted while it was loaded.
      if (this.#stopped || !this.#parts.wanted().includes(digest)) {
        pin.release()
        return
      }
      this.#held.set(digest, { pin, bytes: request.bytes })
      this.#reported.delete(digest)
    } catch (error) {
      this.#report(digest, error, 'a pinned version could not be loaded; trying again')
    }
  }

  #report(digest: string, error: unknown, message: string): void {
    if (this.#reported.has(digest)) return
    this.#reported.add(digest)
    this.#parts.log.warn({ digest, ...(error === null ? {} : { err: error }) }, message)
  }
}

/** Digests that are to stay in memory: what pinned tasks route to, then the newest ready version of pinned adapters. */
export function pinnedDigests(catalogue: Catalogue): readonly string[] {
  const { state } = catalogue
  const versions: (Version | null)[] = []
  for (const { pinned, routes } of state.tasks.values()) {
    if (pinned) versions.push(...routes.map(({ adapter, version }) => state.byNumber(adapter, version)))
  }
  for (const { name, pinned } of state.adapters.values()) if (pinned) versions.push(catalogue.newest(name))
  return [...new Set(versions.flatMap((version) => (version && catalogue.isReady(version) ? [version.digest] : [])))]
}
