import { Tensor } from 'onnxruntime-node'
import type { Architecture } from '../model/architecture.ts'
import { needsPositions } from '../model/architecture.ts'
import { IO } from '../model/graph/spec.ts'

/** Where a row of a call stands in its sequence. */
export interface RowSpan {
  /** Cached tokens once the call is done. */
  readonly end: number
  /** Tokens of the sequence as far as it is known: all of its prompt while that is evaluated, else `end`. */
  readonly known: number
  /** Tokens before the sequence that use no position; 0 when absent. */
  readonly unplaced?: number
}

/**
 * Which row of its table (learned positions, rotations) every token of a call uses.
 *
 * Long rope has two tables, one below the other. As in transformers the length of the whole sequence decides, not the position: one token
 * over the limit, and every position, early ones too, is rotated by the second table. What was cached before is then void (`outgrows`).
 */
export class Positions {
  readonly #fed: boolean
  readonly #limit: number
  readonly #maxContext: number

  constructor(architecture: Pick<Architecture, 'positionOffset' | 'longRope' | 'ropes' | 'maxContext'>) {
    this.#fed = needsPositions(architecture)
    this.#limit = architecture.longRope?.length ?? Infinity
    this.#maxContext = architecture.maxContext
  }

  /** Whether the next token takes a sequence of `cached` tokens over the limit, so that all of them must be evaluated again. */
  outgrows(cached: number): boolean {
    return cached === this.#limit
  }

  /** Which of the tables a sequence of `known` tokens uses; what was cached with one is void with the other. */
  tableOf(known: number): number {
    return known > this.#limit ? 1 : 0
  }

  /**
   * @param tokens tokens of each row in this call
   * @param asked whether the graph wants positions although the model would not
   */
  feeds(spans: readonly RowSpan[], tokens: number, asked: boolean): Record<string, Tensor> {
    if (!this.#fed && !asked) return {}
    const ids = spans.flatMap(({ end, known, unplaced = 0 }) => {
      const start = end - unplaced - tokens + this.tableOf(known) * this.#maxContext
      return Array.from({ length: tokens }, (_, i) => BigInt(start + i))
    })
    return { [IO.positions]: new Tensor('int64', BigInt64Array.from(ids), [spans.length, tokens]) }
  }
}
