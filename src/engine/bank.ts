import { LRUCache } from 'lru-cache'
import type { SiteKind } from '../core/branch.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { GainKind } from '../model/graph/spec.ts'
import { BankKind } from './bank-kind.ts'
import { GainTable } from './gain-table.ts'
import type { PackedAdapter } from './packed-adapter.ts'
import { gainChannels } from './packed-adapter.ts'

interface Resident {
  readonly adapter: PackedAdapter
  /** Running rows that use it. */
  pins: number
}

export interface BankCounters {
  loads: number
  hits: number
  evictions: number
}

/** Idle rows a call may read in vain before `tidy` clears them away. */
const TOLERATED_IDLE_ROWS = 64

/**
 * Adapter weights laid out for the batch: per site kind one stack of ranks over all resident versions, at their true rank.
 * Versions that running rows use are pinned; the others leave by least recent use when room is needed.
 */
export class Bank {
  readonly budget: number
  readonly counters: BankCounters = { loads: 0, hits: 0, evictions: 0 }
  readonly #info: ModelInfo
  readonly #kinds = new Map<SiteKind, BankKind>()
  readonly #gains = new Map<GainKind, GainTable>()
  readonly #pinned = new Map<string, Resident>()
  readonly #idle: LRUCache<string, Resident>
  #kept: ReadonlySet<string> = new Set()
  #bytes = 0
  #pinnedBytes = 0
  #generation = 0

  /** @param budget bytes all resident versions together may take */
  constructor(info: ModelInfo, budget: number) {
    this.#info = info
    this.budget = budget
    this.#idle = new LRUCache({ maxSize: budget, sizeCalculation: ({ adapter }) => adapter.bytes })
  }

  get bytes(): number {
    return this.#bytes
  }

  get versions(): number {
    return this.#pinned.size + this.#idle.size
  }

  /** Changes whenever rows move, come or go: views taken before are stale. */
  get generation(): number {
    return this.#generation
  }

  has(digest: string): boolean {
    return this.#pinned.has(digest) || this.#idle.has(digest)
  }

  /** Whether these versions could all be pinned now, evicting what is idle. */
  fits(adapters: readonly PackedAdapter[]): boolean {
    const added = adapters.filter(({ digest }) => !this.#pinned.has(digest))
    return this.#pinnedBytes + added.reduce((sum, { bytes }) => sum + bytes, 0) <= this.budget
  }

  /** Makes a version resident and pins it for one row. Returns whether it already was there. Throws when it does not fit. */
  pin(adapter: PackedAdapter): boolean {
    const { digest, bytes } = adapter
    const pinned = this.#pinned.get(digest)
    const resident = pinned ?? this.#idle.get(digest)
    if (resident !== undefined) {
      resident.pins++
      this.counters.hits++
      if (pinned === undefined) {
        this.#idle.delete(digest)
        this.#pinned.set(digest, resident)
        this.#pinnedBytes += bytes
      }
      return true
    }
    while (this.#bytes + bytes > this.budget) this.#evictOldest(bytes)
    for (const [kind, packed] of adapter.kinds) this.#stack(kind).add(digest, packed)
    for (const [kind, gains] of adapter.gains) this.#gainTable(kind).add(digest, gains)
    this.#pinned.set(digest, { adapter, pins: 1 })
    this.#bytes += bytes
    this.#pinnedBytes += bytes
    this.#generation++
    this.counters.loads++
    return false
  }

  unpin(digest: string): void {
    const resident = this.#pinned.get(digest)
    if (resident === undefined) throw new Error(`${digest} is not pinned`)
    if (--resident.pins > 0) return
    this.#pinned.delete(digest)
    this.#pinnedBytes -= resident.adapter.bytes
    // Virtual tokens alone take nothing here, so nothing of them stays.
    if (resident.adapter.bytes > 0) this.#idle.set(digest, resident)
  }

  /** Removes an idle version at once: its weights are about to be dropped. */
  forget(digest: string): void {
    if (this.#pinned.has(digest)) throw new Error(`${digest} is in use`)
    const resident = this.#idle.peek(digest)
    if (resident === undefined) return
    this.#idle.delete(digest)
    this.#release(resident)
  }

  /** Versions that leave only when nothing else can; replaces what was said before. */
  keep(digests: readonly string[]): void {
    this.#kept = new Set(digests)
  }

  /** Everything resident: first what would be evicted, in that order, then what running rows use. */
  residents(): { readonly digest: string; readonly bytes: number; readonly pinned: boolean }[] {
    const idle = [...this.#idle.rkeys()]
    const order = [
      ...idle.filter((digest) => !this.#kept.has(digest)),
      ...idle.filter((digest) => this.#kept.has(digest)),
    ]
    return [
      ...order.map((digest) => ({ digest, bytes: this.#idle.peek(digest)!.adapter.bytes, pinned: false })),
      ...[...this.#pinned].map(([digest, { adapter }]) => ({ digest, bytes: adapter.bytes, pinned: true })),
    ]
  }

  /** The stack of one site kind; undefined when no version ever had it. */
  kind(kind: SiteKind): BankKind | undefined {
    return this.#kinds.get(kind)
  }

  /** The gains of one kind; undefined when no version ever had one. */
  gains(kind: GainKind): GainTable | undefined {
    return this.#gains.get(kind)
  }

  /** Evicts idle versions that lie between pinned ones once they would cost more than half of what every call reads. */
  tidy(): void {
    for (const stack of this.#kinds.values()) {
      const segments = stack.segments()
      const first = segments.findIndex(({ digest }) => this.#pinned.has(digest))
      const last = segments.findLastIndex(({ digest }) => this.#pinned.has(digest))
      if (first < 0) continue
      const within = segments.slice(first, last + 1)
      const idle = within.filter(({ digest }) => !this.#pinned.has(digest))
      const end = within[within.length - 1]!
      const span = end.start + end.rows - within[0]!.start
      const used = within.reduce((sum, { digest, rows }) => sum + (this.#pinned.has(digest) ? rows : 0), 0)
      if (span - used <= Math.max(used, TOLERATED_IDLE_ROWS)) continue
      for (const { digest } of idle) {
        this.forget(digest)
        this.counters.evictions++
      }
      stack.compact()
      this.#generation++
    }
  }

  /** Throws when bytes, pins or stacks contradict each other. */
  checkIntegrity(): void {
    const residents = [...this.#pinned.values(), ...this.#idle.values()].map(({ adapter }) => adapter)
    const bytes = residents.reduce((sum, adapter) => sum + adapter.bytes, 0)
    if (bytes !== this.#bytes) throw new Error(`the bank counts ${this.#bytes} bytes, holds ${bytes}`)
    if (bytes > this.budget) throw new Error(`the bank holds ${bytes} bytes of ${this.budget}`)
    for (const [digest, { pins }] of this.#pinned) if (pins < 1) throw new Error(`${digest} is pinned by nobody`)
    for (const { pins, adapter } of this.#idle.values())
      if (pins !== 0) throw new Error(`${adapter.digest} is idle with ${pins} pins`)
    for (const [kind, stack] of this.#kinds)
      stack.checkIntegrity(new Set(residents.filter(({ kinds }) => kinds.has(kind)).map(({ digest }) => digest)))
    for (const [kind, table] of this.#gains)
      table.checkIntegrity(kind, new Set(residents.filter(({ gains }) => gains.has(kind)).map(({ digest }) => digest)))
  }

  #evictOldest(needed: number): void {
    const digest = this.#oldestIdle()
    const oldest = digest === undefined ? undefined : this.#idle.peek(digest)
    if (digest === undefined || oldest === undefined) throw new Error(`the bank has no room for ${needed} bytes`)
    this.#idle.delete(digest)
    this.#release(oldest)
    this.counters.evictions++
  }

  #oldestIdle(): string | undefined {
    for (const digest of this.#idle.rkeys()) if (!this.#kept.has(digest)) return digest
    return this.#idle.rkeys().next().value ?? undefined
  }

  #release({ adapter }: Resident): void {
    for (const kind of adapter.kinds.keys()) this.#kinds.get(kind)!.remove(adapter.digest)
    for (const kind of adapter.gains.keys()) this.#gains.get(kind)!.remove(adapter.digest)
    this.#bytes -= adapter.bytes
    this.#generation++
  }

  #gainTable(kind: GainKind): GainTable {
    let table = this.#gains.get(kind)
    if (table === undefined)
      this.#gains.set(kind, (table = new GainTable(this.#info.layers, gainChannels(this.#info, kind))))
    return table
  }

  #stack(kind: SiteKind): BankKind {
    let stack = this.#kinds.get(kind)
    if (stack === undefined) this.#kinds.set(kind, (stack = new BankKind(kind, this.#info)))
    return stack
  }
}
