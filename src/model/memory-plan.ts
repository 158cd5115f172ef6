import { TroupeError } from '../core/errors.ts'

/** What a server will hold in memory, in bytes. */
export interface MemoryDemand {
  /** The prepared weights, mapped from their file. */
  readonly weights: number
  /** Pages of keys and values. */
  readonly kv: number
  /** Weights of adapters. */
  readonly adapters: number
}

/** One line of the plan. */
export interface MemoryLine {
  readonly what: 'weights' | 'kv' | 'adapters' | 'process'
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
}

/** What Node, tokenizer, buffers of a step and the rest of the process take, measured generously. */
const PROCESS_BYTES = 300 * 2 ** 20

/** Compares what a server will hold with the memory that it may use. */
export function planMemory({ weights, kv, adapters }: MemoryDemand, available: number): MemoryPlan {
  const lines: MemoryLine[] = [
    { what: 'weights', bytes: weights },
    { what: 'kv', bytes: kv },
    { what: 'adapters', bytes: adapters },
    { what: 'process', bytes: PROCESS_BYTES },
  ]
  const total = lines.reduce((sum, { bytes }) => sum + bytes, 0)
  const verdict = total <= available ? 'fits' : total - weights > available * 0.95 ? 'too much' : 'tight'
  return { lines, total, available, verdict }
}

/** `weights 4.4 GiB + kv 1.5 GiB + adapters 3.0 GiB + process 0.3 GiB = 9.2 GiB, of 8.0 GiB` */
export function renderMemoryPlan({ lines, total, available }: MemoryPlan): string {
  const sum = lines.map(({ what, bytes }) => `${what} ${gibibytes(bytes)}`).join(' + ')
  return `${sum} = ${gibibytes(total)}, of ${gibibytes(available)}`
}

/**
 * @returns the plan, with a warning's text where it is tight
 * @throws TroupeError `invalid_config` with the numbers and settings that would fit, when it cannot work
 */
export function checkMemoryPlan(demand: MemoryDemand, available: number): { plan: MemoryPlan; warning: string | null } {
  const plan = planMemory(demand, available)
  if (plan.verdict === 'fits') return { plan, warning: null }
  const text = `the server would need more memory than it may use: ${renderMemoryPlan(plan)}`
  const way = wayOut(demand, available)
  if (plan.verdict === 'too much') throw new TroupeError('invalid_config', `${text}; ${way}`, { param: 'kvBytes' })
  return { plan, warning: `${text}; weights will be read from disk again and again, which is slow: ${way}` }
}

/** Settings with which the rest fits beside the weights. */
function wayOut({ weights, kv, adapters }: MemoryDemand, available: number): string {
  const room = available - weights - PROCESS_BYTES
  const smaller = 'a smaller model or another precision (`precision`), or more memory'
  if (room < 2 ** 26) return `take ${smaller}`
  const share = Math.min(1, room / (kv + adapters))
  const mebibytes = (bytes: number): string => `${Math.max(16, Math.floor((bytes * share) / 2 ** 20))}MiB`
  return `these settings would fit: kvBytes ${mebibytes(kv)}, memoryBytes ${mebibytes(adapters)}; or take ${smaller}`
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`
}
