/** Something that takes room in a tier. */
export interface Occupant {
  readonly digest: string
  readonly bytes: number
}

/** What a tier holds, in the order in which it would be evicted. */
export interface TierContent {
  readonly budgetBytes: number
  readonly residents: readonly (Occupant & { readonly pinned: boolean })[]
}

/** What it would mean for a tier to hold some versions at once. */
export interface EvictionPlan {
  readonly fits: boolean
  /** Bytes that would have to come in. */
  readonly neededBytes: number
  /** Bytes nobody takes now. */
  readonly freeBytes: number
  readonly budgetBytes: number
  /** Digests that would have to leave, first to last. */
  readonly evicts: readonly string[]
}

/** Works out what would leave a tier for all of `wanted` to be in it. Changes nothing. */
export function planEviction({ budgetBytes, residents }: TierContent, wanted: readonly Occupant[]): EvictionPlan {
  const names = new Set(wanted.map(({ digest }) => digest))
  const present = new Set(residents.map(({ digest }) => digest))
  const neededBytes = sum(wanted.filter(({ digest }) => !present.has(digest)))
  const used = sum(residents)
  const staying = residents.filter(({ digest, pinned }) => pinned || names.has(digest))
  const fits = sum(staying) + neededBytes <= budgetBytes
  const evicts: string[] = []
  let excess = used + neededBytes - budgetBytes
  for (const { digest, bytes, pinned } of fits ? residents : []) {
    if (excess <= 0) break
    if (pinned || names.has(digest)) continue
    evicts.push(digest)
    excess -= bytes
  }
  return { fits, neededBytes, freeBytes: Math.max(0, budgetBytes - used), budgetBytes, evicts }
}

function sum(items: readonly Occupant[]): number {
  return items.reduce((total, { bytes }) => total + bytes, 0)
}
