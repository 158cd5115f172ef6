import { LRUCache } from 'lru-cache'
import type { AdapterWeights } from '../core/branch.ts'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { Tier } from '../core/generation.ts'
import type { AdapterHost } from '../engine/engine.ts'

/** A version to be in memory, and how to get it there. */
export interface PinRequest {
  readonly digest: string
  /** Expected size, reserved while it loads. */
  readonly bytes: number
  /** Size of what is read, where it is known. */
  readonly readBytes?: number
  /** @param memory of `readBytes` that nobody uses, to be filled; null = there is none */
  readonly load: (memory: SharedArrayBuffer | null) => Promise<AdapterWeights>
  /** Nobody else gets what `load` gives, so that its memory may be used again once the engine has its copy. */
  readonly exclusive?: true
}

/** Memory that was read into is kept for the next version for so long. */
const SPARE_MS = 10_000

type ResidentHost = Pick<AdapterHost, 'hold' | 'drop'>

/** A version that is pinned, and maybe still loading. Unpinned residents live in the LRU instead. */
export interface PinnedEntry {
  readonly digest: string
  /** What it takes in the engine's memory; what it is expected to take while it loads. */
  bytes: number
  pins: number
  /** The one load that all requests for it share; null once it is there. */
  loading: Promise<void> | null
}

export type Pinned = readonly { readonly entry: PinnedEntry; readonly tier: Tier }[]

/**
 * The books of the weights in the engine's memory: bytes and pins. What is read from files is only kept until the engine has its copy.
 *
 *     absent ──pin──▶ loading ──▶ pinned ──last unpin──▶ LRU ──evict──▶ absent
 *                                   ▲─────────pin─────────┘
 *
 * Bytes are reserved before a load starts, so that memory in use never passes the budget.
 */
export class ResidentWeights {
  readonly #budgetBytes: number
  readonly #host: ResidentHost
  /** Called when a load ended and memory may have become free. */
  readonly #onSettled: () => void
  readonly #pinned = new Map<string, PinnedEntry>()
  /** Bytes by digest. */
  readonly #unpinned: LRUCache<string, number>
  readonly #held = new Set<string>()
  /** Memory of the version that was read last: to fill it again is several times quicker than to have the system find as much anew. */
  #spare: SharedArrayBuffer | null = null
  #spareTimer: NodeJS.Timeout | null = null
  #pinnedBytes = 0
  #hits = 0
  #loads = 0
  #failedLoads = 0
  #evictions = 0

  constructor(budgetBytes: number, host: ResidentHost, onSettled: () => void) {
    if (!Number.isSafeInteger(budgetBytes) || budgetBytes < 1) {
      const message = `the memory tier needs a budget in whole bytes above 0, not ${budgetBytes}`
      throw new TroupeError('invalid_config', message)
    }
    this.#budgetBytes = budgetBytes
    this.#host = host
    this.#onSettled = onSettled
    this.#unpinned = new LRUCache({ maxSize: budgetBytes, sizeCalculation: (bytes) => bytes })
  }

  /** Bytes by which pinning these would make the pinned part grow. */
  demand(requests: readonly PinRequest[]): number {
    const sizes = requests.map(({ digest, bytes }) => {
      return this.#pinned.has(digest) ? 0 : (this.#unpinned.peek(digest) ?? bytes)
    })
    return sizes.reduce((sum, bytes) => sum + bytes, 0)
  }

  /** Whether all of these can be pinned beside what is pinned now. */
  fits(requests: readonly PinRequest[]): boolean {
    return this.#pinnedBytes + this.demand(requests) <= this.#budgetBytes
  }

  /** Pins residents, makes room, then starts the loads. The requests must fit. */
  pin(requests: readonly PinRequest[]): Pinned {
    const starts: (() => void)[] = []
    const pinned = requests.map((request): Pinned[number] => {
      const existing = this.#pinned.get(request.digest) ?? this.#takeUnpinned(request.digest)
      const entry = existing ?? this.#addEntry(request.digest, request.bytes)
      if (!existing) {
        // Loading until it has begun, so that nobody takes it for there.
        entry.loading = Promise.resolve()
        starts.push(() => {
          entry.loading = this.#load(entry, request)
        })
      }
      entry.pins++
      const isHot = entry.loading === null
      if (isHot) this.#hits++
      return { entry, tier: isHot ? 'hot' : 'cold' }
    })
    this.#makeRoom()
    for (const start of starts) start()
    return pinned
  }

  unpin(entry: PinnedEntry): void {
    entry.pins--
    // An entry whose load failed is no longer in the map.
    if (entry.pins > 0 || entry.loading || this.#pinned.get(entry.digest) !== entry) return
    this.#removeEntry(entry)
    this.#unpinned.set(entry.digest, entry.bytes)
  }

  /** Drops a version that is not pinned; otherwise does nothing. */
  forget(digest: string): void {
    if (this.#unpinned.delete(digest)) this.#drop(digest)
  }

  /** First what would be evicted, in that order, then what is pinned. */
  list(): { readonly digest: string; readonly bytes: number; readonly pinned: boolean }[] {
    const idle = [...this.#unpinned.rkeys()].map((digest) => {
      return { digest, bytes: this.#unpinned.peek(digest) ?? 0, pinned: false }
    })
    const pinned = [...this.#pinned.values()].map(({ digest, bytes }) => ({ digest, bytes, pinned: true }))
    return [...idle, ...pinned]
  }

  /** What a version takes, or will; 0 where it is not. */
  bytesOf(digest: string): number {
    return this.#pinned.get(digest)?.bytes ?? this.#unpinned.peek(digest) ?? 0
  }

  has(digest: string): boolean {
    return this.#pinned.has(digest) || this.#unpinned.has(digest)
  }

  /** Pins of a digest. */
  pins(digest: string): number {
    return this.#pinned.get(digest)?.pins ?? 0
  }

  stats(): {
    readonly bytes: number
    readonly versions: number
    readonly pinned: number
    readonly hits: number
    readonly loads: number
    readonly failedLoads: number
    readonly evictions: number
  } {
    return {
      bytes: this.#bytes,
      versions: this.#held.size,
      pinned: this.#pinned.size,
      hits: this.#hits,
      loads: this.#loads,
      failedLoads: this.#failedLoads,
      evictions: this.#evictions,
    }
  }

  /** Throws if the books do not agree. */
  checkIntegrity(): void {
    const assert = (holds: boolean, what: string): void => {
      if (!holds) throw new Error(`memory tier: ${what}`)
    }
    const entries = [...this.#pinned.values()]
    for (const { digest, loading, pins } of entries) {
      assert(pins > 0, `${digest} is pinned by nobody`)
      assert(!this.#unpinned.has(digest), `${digest} is pinned and evictable`)
      assert(this.#held.has(digest) === (loading === null), `the engine's hold on ${digest} differs`)
    }
    for (const digest of this.#unpinned.keys()) assert(this.#held.has(digest), `the engine does not hold ${digest}`)
    const unpinned = [...this.#unpinned.values()]
    const sum = (sizes: readonly number[]): number => sizes.reduce((total, bytes) => total + bytes, 0)
    assert(sum(entries.map(({ bytes }) => bytes)) === this.#pinnedBytes, 'pinned bytes differ from what is counted')
    assert(sum(unpinned) === this.#unpinned.calculatedSize, 'unpinned bytes differ from what is counted')
    assert(this.#bytes <= this.#budgetBytes, `${this.#bytes} bytes are over the budget`)
    const resident = entries.filter(({ loading }) => loading === null).length + unpinned.length
    assert(resident === this.#held.size, `${resident} versions in memory, ${this.#held.size} held by the engine`)
  }

  get #bytes(): number {
    return this.#pinnedBytes + this.#unpinned.calculatedSize
  }

  #addEntry(digest: string, bytes: number): PinnedEntry {
    const entry: PinnedEntry = { digest, bytes, pins: 0, loading: null }
    this.#pinned.set(digest, entry)
    this.#pinnedBytes += bytes
    return entry
  }

  #removeEntry(entry: PinnedEntry): void {
    this.#pinned.delete(entry.digest)
    this.#pinnedBytes -= entry.bytes
  }

  #takeUnpinned(digest: string): PinnedEntry | undefined {
    const bytes = this.#unpinned.get(digest)
    if (bytes === undefined) return undefined
    this.#unpinned.delete(digest)
    return this.#addEntry(digest, bytes)
  }

  #makeRoom(): void {
    while (this.#bytes > this.#budgetBytes) {
      const [oldest] = this.#unpinned.rkeys()
      if (oldest === undefined) return
      this.#unpinned.delete(oldest)
      this.#evictions++
      this.#drop(oldest)
    }
  }

  async #load(entry: PinnedEntry, request: PinRequest): Promise<void> {
    const { digest } = entry
    try {
      const spare = this.#spare?.byteLength === request.readBytes ? this.#spare : null
      if (spare) this.#spare = null
      const weights = await request.load(spare)
      const bytes = await this.#hold(weights, request)
      if (request.exclusive) this.#keepSpare(memoryOf(weights))
      this.#held.add(digest)
      this.#pinnedBytes += bytes - entry.bytes
      entry.bytes = bytes
      this.#makeRoom()
      if (this.#bytes > this.#budgetBytes) {
        this.#drop(digest)
        const message = `${digest} needs more memory than was known: ${bytes} bytes`
        throw new TroupeError('overloaded', message, { retryAfterSeconds: 1 })
      }
      this.#loads++
      entry.loading = null
    } catch (error) {
      this.#failedLoads++
      this.#removeEntry(entry)
      throw error
    } finally {
      this.#onSettled()
    }
  }

  async #hold(weights: AdapterWeights, { load }: PinRequest): Promise<number> {
    try {
      return await this.#host.hold(weights, () => load(null))
    } catch (cause) {
      if (cause instanceof TroupeError) throw cause
      const message = `the engine cannot take ${weights.digest}: ${messageOf(cause)}`
      throw new TroupeError('engine_failed', message, { cause })
    }
  }

  #keepSpare(memory: SharedArrayBuffer | null): void {
    this.#spare = memory
    if (this.#spareTimer !== null) clearTimeout(this.#spareTimer)
    this.#spareTimer = setTimeout(() => (this.#spare = null), SPARE_MS).unref()
  }

  #drop(digest: string): void {
    this.#held.delete(digest)
    this.#host.drop(digest)
  }
}

/** The one buffer that all arrays of a version that was read from files point into; null where they do not. */
function memoryOf({ branches, gains, virtualTokens, bytes }: AdapterWeights): SharedArrayBuffer | null {
  const virtual = virtualTokens?.type === 'embeddings' ? virtualTokens : virtualTokens?.layers[0]
  const virtualValues = virtual !== undefined && 'keys' in virtual ? virtual.keys : virtual?.values
  const memory = (branches[0]?.down ?? gains[0]?.values ?? virtualValues)?.buffer
  return memory instanceof SharedArrayBuffer && memory.byteLength === bytes ? memory : null
}
