import { ZipfRanks } from '../../../src/bench/zipf.ts'
import type { Pin } from '../../../src/residency/memory-tier.ts'
import { MemoryTier } from '../../../src/residency/memory-tier.ts'
import { quantile, seededRandom } from '../../chaos/scenarios/scale.ts'
import { fakeWeights } from '../../support/fake-adapter.ts'
import { Ring } from './ring.ts'

/** How a gateway chooses: by adapter with bounded load, or in turns. */
export type Placement = 'affinity' | 'turns'

export interface Simulated {
  readonly placement: Placement
  readonly replicas: number
  readonly adapters: number
  readonly requests: number
  readonly perSecond: number
  /** Memory of each replica for adapters. */
  readonly memoryBytes: number
  readonly zipf: number
  /** A replica goes after this part of the requests and comes back, empty, after another part. */
  readonly fails: { readonly from: number; readonly to: number } | null
}

export interface SimulationFigures {
  readonly requests: number
  readonly coldLoads: number
  readonly coldShare: number
  readonly loadedGigabytes: number
  readonly evictions: number
  /** Distinct adapters that a replica served, on average and at most. */
  readonly adaptersPerReplica: number
  readonly mostAdapters: number
  /** Share of the requests that the busiest replica served. */
  readonly busiestShare: number
  /** Adapters that requests of more than one replica came for. */
  readonly sharedAdapters: number
  readonly sentAgain: number
  /** From arrival to the first step: queue and load. */
  readonly p50WaitMs: number
  readonly p99WaitMs: number
}

/** Ranks of adapters and how often they are met; a rank takes this many bytes in memory, as of a model of some 4 billion parameters. */
const RANKS = [8, 16, 16, 16, 32, 64]
const BYTES_PER_RANK = 1_300_000
const LOAD_BYTES_PER_MS = 1_000_000
const RUN_MS = 1_500
/** Sequences that a replica runs at once. */
const PLACES = 32
/** The bound of the gateways' configurations. */
const BOUND = 2

interface Request {
  readonly adapter: number
  readonly arrivedMs: number
}

interface Running {
  readonly request: Request
  readonly pin: Pin
  readonly until: number
}

/**
 * A fleet in simulated time: what comes where is chosen as the gateways do, what stays in memory and what leaves it is decided by the memory tier that servers
 * run with. Only the engine and the clock are made up.
 */
export async function simulate(plan: Simulated): Promise<SimulationFigures> {
  const random = seededRandom(29)
  const popularity = new ZipfRanks(plan.adapters, plan.zipf, random)
  const sizes = Array.from({ length: plan.adapters }, (_, n) => RANKS[(n * 7) % RANKS.length]! * BYTES_PER_RANK)
  const ring = new Ring(plan.replicas, BOUND)
  const fleet = Array.from({ length: plan.replicas }, () => new Replica(plan.memoryBytes, sizes))
  const servedBy = new Map<number, Set<number>>()
  let turn = 0
  let sentAgain = 0

  const place = (adapter: number): number | null => {
    if (plan.placement === 'affinity')
      return ring.choose(
        `adapter-${adapter}`,
        fleet.map((replica) => replica.load),
      )
    for (let tries = 0; tries < fleet.length; tries++) {
      const chosen = turn++ % fleet.length
      if (fleet[chosen]!.load !== null) return chosen
    }
    return null
  }
  const send = async (request: Request, nowMs: number): Promise<void> => {
    const chosen = place(request.adapter)
    if (chosen === null) throw new Error('no replica is left')
    const servers = servedBy.get(request.adapter) ?? new Set()
    servedBy.set(request.adapter, servers.add(chosen))
    await fleet[chosen]!.take(request, nowMs)
  }

  let nowMs = 0
  for (let n = 0; n < plan.requests; n++) {
    nowMs += (-Math.log(1 - random()) / plan.perSecond) * 1_000
    for (const replica of fleet) await replica.run(nowMs)
    if (plan.fails && n === Math.floor(plan.requests * plan.fails.from)) {
      // Nothing had a first byte yet, as far as the gateway knows: all is sent again.
      const left = fleet[0]!.fail()
      sentAgain += left.length
      for (const request of left) await send(request, nowMs)
    }
    if (plan.fails && n === Math.floor(plan.requests * plan.fails.to)) fleet[0]!.comeBack()
    await send({ adapter: popularity.draw(), arrivedMs: nowMs }, nowMs)
  }
  for (const replica of fleet) await replica.run(Infinity)

  const waits = fleet.flatMap((replica) => replica.waitsMs)
  const held = fleet.map((_, index) => [...servedBy.values()].filter((servers) => servers.has(index)).length)
  const sum = (of: (replica: Replica) => number): number => fleet.reduce((total, replica) => total + of(replica), 0)
  const coldLoads = sum(({ counts }) => counts.loads)
  return {
    requests: waits.length,
    coldLoads,
    coldShare: coldLoads / waits.length,
    loadedGigabytes: sum(({ counts }) => counts.loadedBytes) / 1e9,
    evictions: sum(({ counts }) => counts.evictions),
    adaptersPerReplica: held.reduce((total, count) => total + count, 0) / fleet.length,
    mostAdapters: Math.max(...held),
    busiestShare: Math.max(...fleet.map((replica) => replica.waitsMs.length)) / waits.length,
    sharedAdapters: [...servedBy.values()].filter((servers) => servers.size > 1).length,
    sentAgain,
    p50WaitMs: quantile(waits, 0.5),
    p99WaitMs: quantile(waits, 0.99),
  }
}

/** One server: its memory tier is the real one, its engine runs every request for the same time. */
class Replica {
  /** From arrival to the first step, of every request that ran. */
  readonly waitsMs: number[] = []
  readonly #memoryBytes: number
  readonly #sizes: readonly number[]
  readonly #done = { loads: 0, loadedBytes: 0, evictions: 0 }
  #tier: MemoryTier
  #running: Running[] = []
  #queue: Request[] = []
  #isDown = false

  constructor(memoryBytes: number, sizes: readonly number[]) {
    this.#memoryBytes = memoryBytes
    this.#sizes = sizes
    this.#tier = this.#newTier()
  }

  /** What runs and waits; null = it is down. */
  get load(): number | null {
    return this.#isDown ? null : this.#running.length + this.#queue.length
  }

  get counts(): { readonly loads: number; readonly loadedBytes: number; readonly evictions: number } {
    return { ...this.#done, evictions: this.#done.evictions + this.#tier.stats().evictions }
  }

  async take(request: Request, nowMs: number): Promise<void> {
    this.#queue.push(request)
    await this.#startQueued(nowMs)
  }

  /** Ends what ends until then, and begins what waited for that. */
  async run(untilMs: number): Promise<void> {
    for (;;) {
      const next = this.#running.reduce<Running | null>(
        (first, one) => (first && first.until <= one.until ? first : one),
        null,
      )
      if (!next || next.until > untilMs) return
      this.#running = this.#running.filter((one) => one !== next)
      next.pin.release()
      await this.#startQueued(next.until)
    }
  }

  /** @returns what it had not finished */
  fail(): Request[] {
    const left = [...this.#running.map(({ request }) => request), ...this.#queue]
    this.waitsMs.length -= this.#running.length
    this.#done.evictions += this.#tier.stats().evictions
    this.#running = []
    this.#queue = []
    this.#isDown = true
    return left
  }

  /** With an empty memory. */
  comeBack(): void {
    this.#tier = this.#newTier()
    this.#isDown = false
  }

  async #startQueued(nowMs: number): Promise<void> {
    while (this.#running.length < PLACES) {
      const request = this.#queue.shift()
      if (!request) return
      const bytes = this.#sizes[request.adapter]!
      const digest = `adapter-${request.adapter}`
      const load = () => Promise.resolve(fakeWeights(digest, 1, bytes))
      const pin = await this.#tier.pin([{ digest, bytes, load }])
      const isCold = pin.tiers.get(digest) !== 'hot'
      const loadMs = isCold ? bytes / LOAD_BYTES_PER_MS : 0
      if (isCold) this.#done.loads++
      if (isCold) this.#done.loadedBytes += bytes
      const begunMs = nowMs + loadMs
      this.waitsMs.push(begunMs - request.arrivedMs)
      this.#running.push({ request, pin, until: begunMs + RUN_MS })
    }
  }

  #newTier(): MemoryTier {
    const host = {
      hold: (weights: { readonly bytes: number }) => Promise.resolve(weights.bytes),
      drop: () => undefined,
    }
    return new MemoryTier({ budgetBytes: this.#memoryBytes, host })
  }
}
