import type { ArrayTable, Counter, ObjectTable, Option } from './tables.ts'

/** How far an object is. */
export interface ObjectProgress {
  /** Indices of `names` that are there, ascending. */
  readonly seen: readonly number[]
  /** Required names that are not there yet. */
  readonly missing: number
  /** Names beside those of the table; kept only where they matter. */
  readonly others: readonly string[]
  readonly count: number
  readonly counts: readonly number[]
}

export interface ArrayProgress {
  readonly count: number
  readonly counts: readonly number[]
  /** The items, kept only where they must differ. */
  readonly seen: ReadonlySet<string>
}

const NONE: ReadonlySet<string> = new Set()

export const EMPTY_ARRAY = (table: ArrayTable): ArrayProgress => ({
  count: 0,
  counts: table.counters.map(() => 0),
  seen: NONE,
})

export const EMPTY_OBJECT = (table: ObjectTable): ObjectProgress => ({
  seen: [],
  missing: table.required.filter(Boolean).length,
  others: [],
  count: 0,
  counts: table.counters.map(() => 0),
})

/** Steps of one search for a completion; beyond it none is taken to exist. */
const MAX_SEARCH = 3_000

type Usable = (option: Option) => boolean

const every: Usable = () => true

/** Counters after a child of this option; null when one is over its maximum. Values beyond what matters are not told apart. */
export function added(
  counters: readonly Counter[],
  counts: readonly number[],
  option: Option,
): readonly number[] | null {
  if (option.adds.length === 0) return counts
  const next = [...counts]
  for (const i of option.adds) {
    const { min, max } = counters[i]!
    if (next[i]! >= max) return null
    next[i] = max === Infinity ? Math.min(min, next[i]! + 1) : next[i]! + 1
  }
  return next
}

function satisfied(counters: readonly Counter[], counts: readonly number[]): boolean {
  return counters.every(({ min }, i) => counts[i]! >= min)
}

/** Whether the object may end here. */
export function objectEnds(table: ObjectTable, progress: ObjectProgress): boolean {
  if (progress.count < table.min || !satisfied(table.counters, progress.counts)) return false
  return progress.missing === 0
}

/** Whether properties can be added so that the object may end. */
export function objectCompletes(table: ObjectTable, progress: ObjectProgress, usable: Usable = every): boolean {
  const { seen, count, missing } = progress
  // Names that cannot be used are gone from a finished table.
  if (usable === every && table.counters.length === 0 && table.min <= count && count + missing <= table.max) return true
  const taken = new Set(seen)
  const free: number[] = []
  for (let i = 0; i < table.names.length; i++) {
    if (taken.has(i)) continue
    if (table.options[i]!.some(usable)) free.push(i)
    else if (table.required[i]) return false
  }
  if (count + missing > table.max) return false
  const open = table.others?.options.some((options) => options.some(usable)) ? table.others.capacity : 0
  if (count + free.length + open - progress.others.length < table.min) return false
  if (table.counters.length === 0) return true
  const state = { count, counts: progress.counts, names: new Set(free), others: open - progress.others.length }
  return searchObject(table, state, usable, { steps: 0 })
}

interface ObjectSearch {
  readonly count: number
  readonly counts: readonly number[]
  readonly names: ReadonlySet<number>
  readonly others: number
}

function searchObject(table: ObjectTable, state: ObjectSearch, usable: Usable, budget: { steps: number }): boolean {
  if (++budget.steps > MAX_SEARCH || state.count > table.max) return false
  const named = (i: number, options: readonly Option[]): boolean =>
    options.some((option) => {
      const counts = usable(option) ? added(table.counters, state.counts, option) : null
      const names = new Set(state.names)
      names.delete(i)
      return counts !== null && searchObject(table, { ...state, count: state.count + 1, counts, names }, usable, budget)
    })
  const other = (options: readonly Option[]): boolean =>
    state.others > 0 &&
    options.some((option) => {
      const counts = usable(option) ? added(table.counters, state.counts, option) : null
      const next = { ...state, count: state.count + 1, counts: counts!, others: state.others - 1 }
      return counts !== null && searchObject(table, next, usable, budget)
    })
  for (const i of state.names) if (table.required[i]) return named(i, table.options[i]!)
  const needy = table.counters.findIndex(({ min }, i) => state.counts[i]! < min)
  if (needy < 0 && state.count >= table.min) return true
  const helps = (options: readonly Option[]): readonly Option[] =>
    needy < 0 ? options : options.filter(({ adds }) => adds.includes(needy))
  for (const options of table.others?.options ?? []) if (other(helps(options))) return true
  for (const i of state.names) if (named(i, helps(table.options[i]!))) return true
  return false
}

export function itemOptions(table: ArrayTable, index: number): readonly Option[] {
  return table.prefix[index] ?? table.rest
}

export function arrayEnds(table: ArrayTable, { count, counts }: ArrayProgress): boolean {
  return count >= table.min && satisfied(table.counters, counts)
}

/** Whether items can be added so that the array may end. */
export function arrayCompletes(table: ArrayTable, progress: ArrayProgress, usable: Usable = every): boolean {
  if (progress.count > table.max) return false
  if (table.counters.length > 0) return searchArray(table, progress, usable, new Map(), { steps: 0 })
  for (let i = progress.count; i < Math.min(table.min, table.prefix.length); i++)
    if (!table.prefix[i]!.some(usable)) return false
  return table.min <= Math.max(progress.count, table.prefix.length) || table.rest.some(usable)
}

function searchArray(
  table: ArrayTable,
  progress: ArrayProgress,
  usable: Usable,
  known: Map<string, boolean>,
  budget: { steps: number },
): boolean {
  if (arrayEnds(table, progress)) return true
  if (++budget.steps > MAX_SEARCH || progress.count >= table.max) return false
  const key = `${progress.count} ${progress.counts.join(' ')}`
  const found = known.get(key)
  if (found !== undefined) return found
  known.set(key, false)
  const next = { count: progress.count + 1, seen: progress.seen }
  const possible = itemOptions(table, progress.count).some((option) => {
    const counts = usable(option) ? added(table.counters, progress.counts, option) : null
    // After the prefix all items are alike: one that changes nothing leads nowhere.
    const idle =
      counts !== null &&
      progress.count >= Math.max(table.prefix.length, table.min) &&
      counts.join() === progress.counts.join()
    return counts !== null && !idle && searchArray(table, { ...next, counts }, usable, known, budget)
  })
  known.set(key, possible)
  return possible
}
