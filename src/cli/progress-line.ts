import { formatByteSize } from '../config/byte-size.ts'

const BAR_WIDTH = 24
/** Between two drawings on a terminal, and between two lines elsewhere. */
const REDRAW_MS = 100
const LINE_MS = 10_000

/** What progress is written to: `process.stderr` in earnest. */
export interface ProgressTarget {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** Shows how far a long step is: one line that is redrawn on a terminal, a line now and then elsewhere. */
export class ProgressLine {
  readonly #target: ProgressTarget
  readonly #title: string
  readonly #now: () => number
  readonly #amount: (total: number) => string
  readonly #startedAt: number
  #drawnAt: number
  #drawn = false

  /** @param amount how a total is written: of bytes, unless it is given */
  constructor(
    title: string,
    target: ProgressTarget = process.stderr,
    now: () => number = () => performance.now(),
    amount: (total: number) => string = formatByteSize,
  ) {
    this.#amount = amount
    this.#title = title
    this.#target = target
    this.#now = now
    this.#startedAt = now()
    this.#drawnAt = -Infinity
  }

  update(done: number, total: number, what: string): void {
    const now = this.#now()
    const isLast = done >= total
    if (!isLast && now - this.#drawnAt < (this.#target.isTTY ? REDRAW_MS : LINE_MS)) return
    this.#drawnAt = now
    const elapsedMs = now - this.#startedAt
    const text = renderProgress(this.#title, { done, total, what, elapsedMs }, this.#amount)
    if (this.#target.isTTY) this.#target.write(`\r\u001b[2K${text.slice(0, (this.#target.columns ?? 80) - 1)}`)
    else this.#target.write(`${text}\n`)
    this.#drawn = true
  }

  /** Leaves the line as it is and goes on below it. */
  finish(): void {
    if (this.#drawn && this.#target.isTTY) this.#target.write('\n')
    this.#drawn = false
  }
}

/** `title [####----] 50 % of 2 GiB, 12 s left, layers.3.qkv` */
export function renderProgress(
  title: string,
  { done, total, what, elapsedMs }: { done: number; total: number; what: string; elapsedMs: number },
  amount: (total: number) => string = formatByteSize,
): string {
  const share = total > 0 ? Math.min(1, done / total) : 1
  const filled = Math.round(share * BAR_WIDTH)
  const bar = '#'.repeat(filled) + '-'.repeat(BAR_WIDTH - filled)
  const percent = `${Math.floor(share * 100)}`.padStart(3)
  return `${title} [${bar}] ${percent} % of ${amount(total)}, ${remaining(share, elapsedMs)}, ${what}`
}

function remaining(share: number, elapsedMs: number): string {
  if (share >= 1) return `${(elapsedMs / 1000).toFixed(1)} s`
  if (share === 0) return '… left'
  const seconds = Math.ceil((elapsedMs * (1 - share)) / share / 1000)
  return seconds < 90 ? `${seconds} s left` : `${Math.ceil(seconds / 60)} min left`
}
