import { formatByteSize } from '../config/byte-size.ts'
import { TroupeError } from '../core/errors.ts'

/** What a server will hold in memory, in bytes. */
export interface MemoryDemand {
  /** The prepared weights, mapped from their file. */
  readonly weights: number
  /** Pages of keys and values. */
  readonly kv: number
  /** Weights of adapters. */
  readonly adapters: number
  /** What steps, and the comparison with merged weights, need while they run. */
  readonly working: number
}

/** One line of the plan. */
export interface MemoryLine {
  readonly what: keyof MemoryDemand | 'process'
  readonly bytes: number
}

export interface MemoryPlan {
  readonly lines: readonly MemoryLine[]
  readonly total: number
  readonly available: number
  /**
   * `fits`; `tight`: weights may be read from disk again now and then, which is slow; `too much`: what cannot be given back to the disk is more
   * than there is.
   */
  readonly verdict: 'fits' | 'tight' | 'too much'
  /** What to change where it does not fit; empty where it does. */
  readonly wayOut: string
}

/** Precisions with fewer bytes, the largest first. */
export type Smaller = readonly { readonly precision: string; readonly bytes: number }[]

/** What Node, tokenizer, catalogue and the rest of the process take, measured generously. */
const PROCESS_BYTES = 300 * 2 ** 20
/** Memory that the system needs besides. */
const MOST_USED = 0.95
/** Budgets below this are of no use. */
const LEAST_BUDGET = 16 * 2 ** 20

/** Compares what a server will hold with the memory that it may use. */
export function planMemory(demand: MemoryDemand, available: number, smaller: Smaller = []): MemoryPlan {
  const parts: MemoryLine[] = (['weights', 'kv', 'adapters', 'working'] as const).map((what) => ({
    what,
    bytes: demand[what],
  }))
  const lines: MemoryLine[] = [...parts, { what: 'process', bytes: PROCESS_BYTES }]
  const total = lines.reduce((sum, { bytes }) => sum + bytes, 0)
  const verdict = total <= available ? 'fits' : total - demand.weights > available * MOST_USED ? 'too much' : 'tight'
  return { lines, total, available, verdict, wayOut: verdict === 'fits' ? '' : wayOut(demand, available, smaller) }
}

/** `weights 4.4 GiB + kv 1.5 GiB + adapters 3 GiB + working 128 MiB + process 300 MiB = 9.3 GiB of 8 GiB` */
export function renderMemoryPlan({ lines, total, available }: MemoryPlan): string {
  const sum = lines.map(({ what, bytes }) => `${what} ${formatByteSize(bytes)}`).join(' + ')
  return `${sum} = ${formatByteSize(total)} of ${formatByteSize(available)}`
}

/**
 * @returns a warning where the plan is tight, else null
 * @throws TroupeError `invalid_config` with the numbers and settings that would fit, when it cannot work
 */
export function checkMemoryPlan(plan: MemoryPlan): string | null {
  if (plan.verdict === 'fits') return null
  const text = `the server would need more memory than it may use: ${renderMemoryPlan(plan)}`
  if (plan.verdict === 'too much')
    throw new TroupeError('invalid_config', `${text}; ${plan.wayOut}`, { param: 'kvBytes' })
  return `${text}; weights will be read from disk again and again, which is slow: ${plan.wayOut}`
}

/** Settings with which all of it fits. */
function wayOut({ weights, kv, adapters, working }: MemoryDemand, available: number, smaller: Smaller): string {
  const fixed = working + PROCESS_BYTES
  const ways: string[] = []
  const room = available - weights - fixed
  if (room >= 2 * LEAST_BUDGET) {
    const share = Math.min(1, room / (kv + adapters))
    const budget = (bytes: number): string => `${Math.max(LEAST_BUDGET, Math.floor(bytes * share)) >> 20}MiB`
    ways.push(`kvBytes ${budget(kv)} with memoryBytes ${budget(adapters)}`)
  }
  const next = smaller.find(({ bytes }) => bytes + kv + adapters + fixed <= available)
  if (next !== undefined) ways.push(`precision ${next.precision} (${formatByteSize(next.bytes)} of weights)`)
  if (ways.length === 0) return 'take a smaller model, or more memory'
  return `these settings would fit: ${ways.join('; or ')}; or take a smaller model, or more memory`
}
