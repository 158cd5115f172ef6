import type { AdapterWeights } from '../core/branch.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { BASE_SPEC } from '../model/graph/spec.ts'
import type { GraphSessions } from './graph-sessions.ts'
import type { ModelRunner } from './model-runner.ts'
import type { PackedAdapter } from './packed-adapter.ts'
import { packAdapter } from './packed-adapter.ts'

interface HolderParts {
  readonly info: ModelInfo
  readonly graphs: GraphSessions
  readonly runner: ModelRunner
  /** By digest; the same map the feeder reads. */
  readonly adapters: Map<string, PackedAdapter>
}

/** The versions that the main thread lent to the engine. */
export class HeldAdapters {
  readonly #parts: HolderParts
  /** Why a version could not be made available; told to every request that names it. */
  readonly #refused = new Map<string, string>()

  constructor(parts: HolderParts) {
    this.#parts = parts
  }

  has(digest: string): boolean {
    return this.#parts.adapters.has(digest)
  }

  /** The version must be held. */
  get(digest: string): PackedAdapter {
    const adapter = this.#parts.adapters.get(digest)
    if (adapter === undefined) throw new Error(`${digest} is not held`)
    return adapter
  }

  /** Makes a version available. Compiles a graph when it is the first of its kind. */
  async hold(weights: AdapterWeights): Promise<void> {
    const { adapters, graphs, info, runner } = this.#parts
    const { digest, virtualTokens } = weights
    if (adapters.has(digest)) return
    try {
      const adapter = packAdapter(weights, info)
      await graphs.ensure(adapter.spec)
      let { prefix } = adapter
      if (virtualTokens?.type === 'embeddings') {
        await graphs.ensure({ ...BASE_SPEC, vectors: true })
        prefix = await runner.evaluate(virtualTokens.values, virtualTokens.count)
      }
      adapters.set(digest, { ...adapter, prefix })
    } catch (error) {
      this.#refused.set(digest, error instanceof Error ? error.message : String(error))
    }
  }

  /** Nothing reads the version's weights from here on: their memory may become another version's. */
  drop(digest: string): void {
    this.#parts.adapters.delete(digest)
    this.#refused.delete(digest)
  }

  /** Why a version cannot be used; null = it can. */
  problemWith(digest: string): string | null {
    if (this.has(digest)) return null
    return `${digest} is not held by the engine: ${this.#refused.get(digest) ?? 'it was never offered'}`
  }
}
