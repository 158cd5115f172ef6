import { LRUCache } from 'lru-cache'
import type { AdapterWeights } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { Tier } from '../core/generation.ts'
import type { AdapterHost } from '../engine/engine.ts'
import { freedMemory } from './freed-memory.ts'

/** A version to be in memory, and how to get it there. */
export interface PinRequest {
  readonly digest: string
  /** Expected size, reserved while it loads. */
  readonly bytes: number
  /** @param memory of `bytes` that nobody uses, to be filled; null = there is none */
  readonly load: (memory: SharedArrayBuffer | null) => Promise<AdapterWeights>
  /** Nobody else gets what `load` gives, so that its memory may be used again once it is evicted. */
  readonly exclusive?: true
}

type ResidentHost = Pick<AdapterHost, 'hold' | 'drop' | 'residents'>

/** A version that is pinned, and maybe still loading. Unpinned residents live in the LRU instead. */
export interface PinnedEntry {
  readonly digest: string
  bytes: number
  pins: number
  weights: AdapterWeights | null
  /** The one load that all requests for it share. */
  loading: Promise<AdapterWeights> | null
}

export type Pinned = readonly { readonly entry: PinnedEntry; readonly tier: Tier }[]

/**
 * The books of the weights in host memory: bytes, pins, and what the engine holds.
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
  readonly #unpinned: LRUCache<string, AdapterWeights>
  readonly #held = new Set<string>()
  readonly #exclusive = new WeakSet<AdapterWeights>()
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
    this.#unpinned = new LRUCache({ maxSize: budgetBytes, sizeCalculation: (weights) => weights.bytes })
  }

  /** Bytes by which pinning these would make the pinned part grow. */
  demand(requests: readonly PinRequest[]): number {
    const sizes = requests.map(({ digest, bytes }) => {
      return this.#pinned.has(digest) ? 0 : (this.#unpinned.peek(digest)?.bytes ?? bytes)
    })
    return sizes.reduce((sum, bytes) => sum + bytes, 0)
  }

  /** Whether all of these can be pinned beside what is pinned now. */
  fits(requests: readonly PinRequest[]): boolean {
    return this.#pinnedBytes + this.demand(requests) <= this.#budgetBytes
  }

  /**
   * Pins residents, makes room, then starts the loads. The requests must fit. What is evicted for a load of the same size leaves it its memory:
   * adapters of one kind follow each other without new memory.
   */
  pin(requests: readonly PinRequest[]): Pinned {
    const starts: ((evicted: AdapterWeights[]) => void)[] = []
    const pinned = requests.map((request): Pinned[number] => {
      const existing = this.#pinned.get(request.digest) ?? this.#takeUnpinned(request.digest)
      const entry = existing ?? this.#addEntry(request.digest, request.bytes, null)
      if (!existing) {
        starts.push((evicted) => {
          const former = evicted.findIndex(({ bytes }) => bytes === request.bytes)
          entry.loading = this.#load(entry, request, former < 0 ? null : evicted.splice(former, 1)[0]!)
        })
      }
      entry.pins++
      if (entry.weights) this.#hits++
      return { entry, tier: entry.weights ? 'warm' : 'cold' }
    })
    const evicted = this.#makeRoom().filter((weights) => this.#exclusive.has(weights))
    for (const start of starts) start(evicted)
    return pinned
  }

  unpin(entry: PinnedEntry): void {
    entry.pins--
    // An entry whose load failed is no longer in the map.
    if (entry.pins > 0 || !entry.weights || this.#pinned.get(entry.digest) !== entry) return
    this.#removeEntry(entry)
    this.#unpinned.set(entry.digest, entry.weights)
  }

  /** Drops a version that is not pinned; otherwise does nothing. */
  forget(digest: string): void {
    if (this.#unpinned.delete(digest)) this.#drop(digest)
  }

  /** First what would be evicted, in that order, then what is pinned. */
  list(): { readonly digest: string; readonly bytes: number; readonly pinned: boolean }[] {
    const idle = [...this.#unpinned.rkeys()].map((digest) => {
      return { digest, bytes: this.#unpinned.peek(digest)?.bytes ?? 0, pinned: false }
    })
    const pinned = [...this.#pinned.values()].map(({ digest, bytes }) => ({ digest, bytes, pinned: true }))
    return [...idle, ...pinned]
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
    for (const { digest, weights, loading, pins } of entries) {
      assert((weights === null) === (loading !== null), `${digest} is neither loading nor there`)
      assert(pins > 0, `${digest} is pinned by nobody`)
      assert(!this.#unpinned.has(digest), `${digest} is pinned and evictable`)
      assert(this.#held.has(digest) === (weights !== null), `the engine's hold on ${digest} differs`)
    }
    for (const digest of this.#unpinned.keys()) assert(this.#held.has(digest), `the engine does not hold ${digest}`)
    const unpinned = [...this.#unpinned.values()]
    const sum = (sizes: readonly { readonly bytes: number }[]): number =>
      sizes.reduce((total, { bytes }) => total + bytes, 0)
    assert(sum(entries) === this.#pinnedBytes, 'pinned bytes differ from what is counted')
    assert(sum(unpinned) === this.#unpinned.calculatedSize, 'unpinned bytes differ from what is counted')
    assert(this.#bytes <= this.#budgetBytes, `${this.#bytes} bytes are over the budget`)
    const resident = entries.filter(({ weights }) => weights !== null).length + unpinned.length
    assert(resident === this.#held.size, `${resident} versions in memory, ${this.#held.size} held by the engine`)
  }

  get #bytes(): number {
    return this.#pinnedBytes + this.#unpinned.calculatedSize
  }

  #addEntry(digest: string, bytes: number, weights: AdapterWeights | null): PinnedEntry {
    const entry: PinnedEntry = { digest, bytes, pins: 0, weights, loading: null }
    this.#pinned.set(digest, entry)
    this.#pinnedBytes += bytes
    return entry
  }

  #removeEntry(entry: PinnedEntry): void {
    this.#pinned.delete(entry.digest)
    this.#pinnedBytes -= entry.bytes
  }

  #takeUnpinned(digest: string): PinnedEntry | undefined {
    const weights = this.#unpinned.get(digest)
    if (!weights) return undefined
    this.#unpinned.delete(digest)
    return this.#addEntry(digest, weights.bytes, weights)
  }

  /** What had to leave. */
  #makeRoom(): AdapterWeights[] {
    const evicted: AdapterWeights[] = []
    while (this.#bytes > this.#budgetBytes) {
      const oldest = this.#unpinned.pop()
      if (!oldest) break
      this.#evictions++
      this.#drop(oldest.digest)
      evicted.push(oldest)
    }
    return evicted
  }

  async #load(entry: PinnedEntry, request: PinRequest, former: AdapterWeights | null): Promise<AdapterWeights> {
    try {
      const weights = await request.load(former && (await freedMemory(former, this.#host)))
      if (request.exclusive) this.#exclusive.add(weights)
      this.#pinnedBytes += weights.bytes - entry.bytes
      entry.bytes = weights.bytes
      this.#makeRoom()
      if (this.#bytes > this.#budgetBytes) {
        const message = `${entry.digest} needs more memory than was known: ${weights.bytes} bytes`
        throw new TroupeError('overloaded', message, { retryAfterSeconds: 1 })
      }
      this.#host.hold(weights)
      this.#held.add(entry.digest)
      this.#loads++
      entry.weights = weights
      entry.loading = null
      return weights
    } catch (error) {
      this.#failedLoads++
      this.#removeEntry(entry)
      throw error
    } finally {
      this.#onSettled()
    }
  }

  #drop(digest: string): void {
    this.#held.delete(digest)
    this.#host.drop(digest)
  }
}
