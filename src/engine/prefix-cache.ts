import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { GenerationRequest } from '../core/generation.ts'
import type { KvLayers } from './kv-cache.ts'

/** Tokens that are kept and found together. */
export const PREFIX_BLOCK = 32

export interface PrefixCounters {
  /** Prompt tokens that were looked up. */
  lookedUp: number
  /** Those of them that need not be evaluated. */
  found: number
  evictions: number
}

interface PrefixShape {
  readonly layers: number
  readonly kvHeads: number
  readonly headDim: number
}

/**
 * Keys and values of evaluated prompts in host memory, in blocks of tokens, so that requests that begin alike evaluate the common part once.
 *
 * A block's key is a hash over everything before it: base model, tenant, digests and scales of the mix, then the tokens. So a block is found
 * only by requests that would compute the same numbers, and never across tenants; names play no part. Least recently used blocks leave first.
 */
export class PrefixCache {
  readonly budget: number
  readonly counters: PrefixCounters = { lookedUp: 0, found: 0, evictions: 0 }
  readonly #fingerprint: string
  readonly #blocks: LRUCache<string, KvLayers> | null
  readonly #blockBytes: number

  /** @param budget bytes; 0 = nothing is kept */
  constructor(fingerprint: string, { layers, kvHeads, headDim }: PrefixShape, budget: number) {
    this.#fingerprint = fingerprint
    this.budget = budget
    this.#blockBytes = 2 * layers * kvHeads * PREFIX_BLOCK * headDim * Float32Array.BYTES_PER_ELEMENT
    const max = Math.floor(budget / this.#blockBytes)
    this.#blocks = max < 1 ? null : new LRUCache({ max, dispose: (_, __, reason) => this.#count(reason) })
  }

  get bytes(): number {
    return (this.#blocks?.size ?? 0) * this.#blockBytes
  }

  /**
   * The blocks that a sequence of these tokens can begin with, in order.
   *
   * @param variant what else decides the numbers of a cached token
   */
  find(request: GenerationRequest, tokens: Int32Array, variant: string): readonly KvLayers[] {
    const blocks = this.#blocks
    if (blocks === null || request.tenant === undefined) return []
    this.counters.lookedUp += tokens.length
    const found: KvLayers[] = []
    const keys: string[] = []
    for (const key of this.#keys(request, tokens, variant)) {
      const block = blocks.peek(key)
      if (block === undefined) break
      found.push(block)
      keys.push(key)
    }
    // The first block is touched last: a chain loses its end before its beginning, without which the rest could not be found.
    for (const key of keys.reverse()) blocks.get(key)
    this.counters.found += found.length * PREFIX_BLOCK
    return found
  }

  /**
   * Keeps all whole blocks of evaluated tokens.
   *
   * @param read copies the keys and values of `PREFIX_BLOCK` tokens from `start` on
   */
  keep(request: GenerationRequest, tokens: Int32Array, variant: string, read: (start: number) => KvLayers): void {
    const blocks = this.#blocks
    if (blocks === null || request.tenant === undefined) return
    const keys = [...this.#keys(request, tokens, variant)].slice(0, blocks.max)
    for (const [i, key] of [...keys.entries()].reverse())
      if (blocks.get(key) === undefined) blocks.set(key, read(i * PREFIX_BLOCK))
  }

  *#keys({ tenant, mix, stack }: GenerationRequest, tokens: Int32Array, variant: string): Generator<string> {
    const members = mix.map(({ digest, scale }) => [digest, scale])
    const domain = JSON.stringify([this.#fingerprint, tenant, members, stack ?? false, variant])
    let key = createHash('sha256').update(domain).digest()
    for (let end = PREFIX_BLOCK; end <= tokens.length; end += PREFIX_BLOCK) {
      const block = tokens.slice(end - PREFIX_BLOCK, end)
      key = createHash('sha256').update(key).update(new Uint8Array(block.buffer)).digest()
      yield key.toString('base64')
    }
  }

  #count(reason: LRUCache.DisposeReason): void {
    if (reason === 'evict') this.counters.evictions++
  }
}
