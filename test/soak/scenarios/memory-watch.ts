import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from '../../chaos/scenarios/scale.ts'
import type { Client } from '../../support/client.ts'
import { scrape } from '../../support/scrape.ts'

/** Memory of a server's process at one moment, in bytes. */
export interface MemorySample {
  /** Seconds since the watch began. */
  readonly at: number
  readonly resident: number
  /** Of the main thread. */
  readonly heap: number
  readonly external: number
}

const METRICS = {
  resident: 'troupe_process_resident_memory_bytes',
  heap: 'troupe_nodejs_heap_size_used_bytes',
  external: 'troupe_nodejs_external_memory_bytes',
} as const

/** Reads a server's memory from its metrics again and again. */
export class MemoryWatch {
  readonly samples: MemorySample[] = []
  readonly #client: Client
  readonly #everyMs: number
  readonly #onSample: (sample: MemorySample) => void
  readonly #from = performance.now()
  readonly #stop = new AbortController()

  constructor(client: Client, everyMs: number, onSample: (sample: MemorySample) => void = () => undefined) {
    this.#client = client
    this.#everyMs = everyMs
    this.#onSample = onSample
  }

  /** Resolves after `stop`. @throws Error when the server does not answer */
  async run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const metrics = await scrape(this.#client)
      const sample = {
        at: (performance.now() - this.#from) / 1000,
        resident: read(metrics, METRICS.resident),
        heap: read(metrics, METRICS.heap),
        external: read(metrics, METRICS.external),
      }
      this.samples.push(sample)
      this.#onSample(sample)
      await sleep(this.#everyMs, undefined, { signal }).catch(() => undefined)
    }
  }

  stop(): void {
    this.#stop.abort()
  }
}

/** Medians over the samples from one second to another, both included; NaN where there are none. */
export function median(samples: readonly MemorySample[], from: number, to: number): Omit<MemorySample, 'at'> {
  const window = samples.filter(({ at }) => at >= from && at <= to)
  const middle = (values: readonly number[]): number => (values.length === 0 ? NaN : quantile(values, 0.5))
  return {
    resident: middle(window.map(({ resident }) => resident)),
    heap: middle(window.map(({ heap }) => heap)),
    external: middle(window.map(({ external }) => external)),
  }
}

function read(metrics: ReadonlyMap<string, number>, name: string): number {
  const value = metrics.get(name)
  if (value === undefined) throw new Error(`there is no metric ${name}`)
  return value
}
