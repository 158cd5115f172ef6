import type { BankKind, Segment } from './bank-kind.ts'

/** One row of the batch uses one version's part of a stack. */
export interface Use {
  /** Row of the batch. */
  readonly row: number
  readonly segment: Segment
  /** Scale of the version in the row's mix. */
  readonly scale: number
  /** Level in the row's stack of modules; 0 where it has none. */
  readonly level: number
}

/** What a batch uses of the stack of one site kind: a range of rows that may hold versions nobody here uses. */
export class KindUses {
  readonly stack: BankKind | undefined
  readonly uses: readonly Use[]
  /** First row of the range. */
  readonly start: number
  /** Rows of the range; 0 = nothing is used. */
  readonly rows: number
  /** The range divides into units of this many rows so that every segment in use is a number of whole ones. */
  readonly unit: number
  /** Most rows of the batch that use the same segment. */
  readonly members: number

  constructor(stack: BankKind | undefined, uses: readonly Use[]) {
    this.stack = stack
    this.uses = uses
    const byStart = new Map(uses.map(({ segment }) => [segment.start, segment]))
    const segments = [...byStart.values()].sort((a, b) => a.start - b.start)
    const last = segments[segments.length - 1]
    this.start = segments[0]?.start ?? 0
    this.rows = last === undefined ? 0 : last.start + last.rows - this.start
    this.unit = segments.reduce((unit, { start, rows }) => divisor(divisor(unit, start - this.start), rows), 0)
    this.members = Math.max(1, ...segments.map(({ start }) => this.usersOf(start).length))
  }

  /** Rows of the batch that use the segment at `start`, in order. */
  usersOf(start: number): readonly number[] {
    return [...new Set(this.uses.flatMap(({ row, segment }) => (segment.start === start ? [row] : [])))]
  }
}

/** Greatest common divisor; 0 divides by everything. */
function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b)
}
