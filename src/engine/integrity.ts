import type { Bank } from './bank.ts'
import type { Scheduler } from './scheduler.ts'

interface Books {
  readonly scheduler: Scheduler
  readonly bank: Bank
  /** Versions the main thread lent us. */
  readonly adapters: { has(digest: string): boolean }
}

/** Throws when rows, bank or held versions contradict themselves or each other. */
export function checkBooks({ scheduler, bank, adapters }: Books): void {
  scheduler.checkIntegrity()
  bank.checkIntegrity()
  const used = new Set(scheduler.running.flatMap(({ pinned }) => pinned))
  for (const { digest, pinned } of bank.residents()) {
    if (!adapters.has(digest)) throw new Error(`the bank has ${digest}, which is not held`)
    if (pinned && !used.delete(digest)) throw new Error(`${digest} is pinned though no row uses it`)
  }
  for (const digest of used) throw new Error(`${digest} is used by a row but not pinned`)
}
