import type { BenchContext } from './context.ts'
import type { Row } from '../src/bench/report.ts'

/** Rows that are measured together because they alternate with each other. */
export interface Group {
  /** Stands for all of them in `--rows`. */
  readonly name: string
  /** Names that `--rows` takes. */
  readonly rows: readonly string[]
  /** Measures those of its rows. */
  readonly run: (context: BenchContext, rows: ReadonlySet<string>, progress: Progress) => Promise<Row[]>
}

export type Progress = (done: number, total: number, what: string) => void

/** A row with a target to reach from below, or from above. */
export function promise(name: string, value: number, unit: string, target: { least?: number; most?: number }): Row {
  const { least, most } = target
  const text = least !== undefined ? `≥ ${least}` : `≤ ${most}`
  if (!Number.isFinite(value)) return unmeasured(name, unit, text, `no number came of it: ${value}`)
  return { name, value, unit, target: text, met: value >= (least ?? -Infinity) && value <= (most ?? Infinity) }
}

/** A figure without a target. */
export function figure(name: string, value: number, unit: string): Row {
  return { name, value, unit, target: null, met: null }
}

/** A row that has a target but no value. */
export function unmeasured(name: string, unit: string, target: string | null, note: string): Row {
  return { name, value: null, unit, target, met: null, note }
}
