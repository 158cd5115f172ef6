import { Gauge } from 'prom-client'
import type { Registry } from 'prom-client'
import type { EngineStats } from '../core/messages.ts'

/** One request's part in `vllm:lora_requests_info`. */
export interface AdapterUse {
  /** The first of its sequences runs. */
  runs(): void
  /** Idempotent. */
  ends(): void
}

/** A version in the engine's memory. */
export interface ResidentAdapter {
  readonly name: string
  readonly rank: number
  /** It is not evicted. */
  readonly isKept: boolean
}

/** Most versions that are shown: every name is a series. */
const MAX_RESIDENTS = 512

/**
 * The gauges by which controllers made for vLLM route and scale: the Kubernetes inference extension and others read these names on `/metrics`.
 * Filled with what the names mean here: a sequence is their request, an adapter is called what its request called it.
 */
export class VllmMetrics {
  readonly #waiting = new Map<string, number>()
  readonly #running = new Map<string, number>()
  #changedAt = Date.now()
  readonly #requestsRunning: Gauge
  readonly #requestsWaiting: Gauge
  readonly #cacheUsage: Gauge
  readonly #loaded: Gauge<'adapter_name' | 'level' | 'pinned' | 'rank'>
  readonly #loadedCount: Gauge
  readonly #adapters: Gauge<'max_lora' | 'running_lora_adapters' | 'waiting_lora_adapters'>

  constructor(registry: Registry) {
    const registers = [registry]
    this.#requestsRunning = new Gauge({
      name: 'vllm:num_requests_running',
      help: 'Sequences in the batch.',
      registers,
    })
    this.#requestsWaiting = new Gauge({
      name: 'vllm:num_requests_waiting',
      help: 'Sequences that wait for a place in the batch.',
      registers,
    })
    this.#cacheUsage = new Gauge({
      name: 'vllm:kv_cache_usage_perc',
      help: 'Part of the KV cache in use, from 0 to 1.',
      registers,
    })
    this.#adapters = new Gauge({
      name: 'vllm:lora_requests_info',
      help: 'Adapters of running and waiting requests, and how many could run at once; the value is the time of the last change.',
      labelNames: ['max_lora', 'running_lora_adapters', 'waiting_lora_adapters'],
      registers,
    })
    this.#loaded = new Gauge({
      name: 'vllm:lora_adapter_loaded',
      help: `1 for every adapter version in the memory that the engine computes from, up to ${MAX_RESIDENTS}.`,
      labelNames: ['adapter_name', 'level', 'pinned', 'rank'],
      registers,
    })
    this.#loadedCount = new Gauge({
      name: 'vllm:num_gpu_loaded_lora_adapters',
      help: 'Adapter versions in the memory that the engine computes from, on whatever device.',
      registers,
    })
  }

  /** Counts a request that asked for adapters by this name, from now until `ends`. */
  use(name: string): AdapterUse {
    let at: Map<string, number> | null = this.#waiting
    const move = (to: Map<string, number> | null): void => {
      if (at === to || at === null) return
      add(at, name, -1)
      if (to) add(to, name, 1)
      at = to
      this.#changedAt = Date.now()
    }
    add(this.#waiting, name, 1)
    this.#changedAt = Date.now()
    return { runs: () => move(this.#running), ends: () => move(null) }
  }

  /** @param residents first what would be evicted */
  setResidents(residents: readonly ResidentAdapter[]): void {
    this.#loadedCount.set(residents.length)
    this.#loaded.reset()
    for (const { name, rank, isKept } of residents.slice(-MAX_RESIDENTS))
      this.#loaded.set({ adapter_name: name, level: 'device', pinned: String(isKept), rank: String(rank) }, 1)
  }

  /** @param queued sequences that wait before they reach the engine */
  set(engine: EngineStats, queued: number): void {
    this.#requestsRunning.set(engine.running)
    this.#requestsWaiting.set(queued + engine.queued + engine.paused)
    this.#cacheUsage.set(engine.pages > 0 ? engine.pagesUsed / engine.pages : 0)
    // The names are labels: only the series of this moment is shown.
    this.#adapters.reset()
    const labels = {
      // Every sequence of the batch may have adapters of its own.
      max_lora: String(engine.maxBatch),
      running_lora_adapters: [...this.#running.keys()].join(','),
      waiting_lora_adapters: [...this.#waiting.keys()].join(','),
    }
    this.#adapters.set(labels, this.#changedAt / 1000)
  }
}

function add(counts: Map<string, number>, name: string, change: number): void {
  const count = (counts.get(name) ?? 0) + change
  if (count > 0) counts.set(name, count)
  else counts.delete(name)
}
