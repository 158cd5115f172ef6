import type { StepInput } from '../device/port.ts'
import { SPAN, SPAN_INTS } from '../device/port.ts'
import type { Sequence } from './sequence.ts'
import { pagesFor } from './sequence.ts'
import type { StepPart } from './step-plan.ts'

/** An array that grows and is filled anew for every step. */
class Column<A extends Int32Array | Float32Array | Uint8Array> {
  #array: A
  readonly #create: (length: number) => A
  length = 0

  constructor(create: (length: number) => A) {
    this.#create = create
    this.#array = create(64)
  }

  push(value: number): void {
    this.#reserve(1)
    this.#array[this.length++] = value
  }

  append(values: ArrayLike<number>): void {
    this.#reserve(values.length)
    this.#array.set(values, this.length)
    this.length += values.length
  }

  view(): A {
    return this.#array.subarray(0, this.length) as A
  }

  #reserve(more: number): void {
    if (this.length + more <= this.#array.length) return
    const larger = this.#create(2 * (this.length + more))
    larger.set(this.#array)
    this.#array = larger
  }
}

const int32 = (): Column<Int32Array> => new Column((length) => new Int32Array(length))

/** Writes what the device is told of a step. The arrays are used again by the next one. */
export class StepWriter {
  readonly #tokens = int32()
  readonly #sequences = int32()
  readonly #pages = int32()
  readonly #mixStart = int32()
  readonly #mixAdapters = int32()
  readonly #mixScales = new Column((length) => new Float32Array(length))
  readonly #mixStacked = new Column((length) => new Uint8Array(length))
  readonly #logitRows = int32()
  readonly #mixes = new Map<string, number>()

  /** Logits are wanted where a token is chosen, behind every drafted token, and of a whole chunk where those of the prompt were asked for. */
  write(parts: readonly StepPart[]): StepInput {
    const columns = [this.#tokens, this.#sequences, this.#pages, this.#mixStart, this.#mixAdapters]
    for (const column of [...columns, this.#mixScales, this.#mixStacked, this.#logitRows]) column.length = 0
    this.#mixes.clear()
    for (const part of parts) this.#add(part)
    this.#mixStart.push(this.#mixAdapters.length)
    return {
      tokens: this.#tokens.view(),
      sequences: this.#sequences.view(),
      pages: this.#pages.view(),
      mixStart: this.#mixStart.view(),
      mixAdapters: this.#mixAdapters.view(),
      mixScales: this.#mixScales.view(),
      mixStacked: this.#mixStacked.view(),
      logitRows: this.#logitRows.view(),
    }
  }

  #add(part: StepPart): void {
    const { sequence, count, draft } = part
    const { cached, tokens, ropeOffset, ropeTable } = sequence
    const first = this.#tokens.length
    const used = pagesFor(cached + count + draft.length)
    const span = new Array<number>(SPAN_INTS).fill(0)
    span[SPAN.firstToken] = first
    span[SPAN.count] = count + draft.length
    span[SPAN.kvStart] = cached
    span[SPAN.ropeOffset] = ropeOffset
    span[SPAN.ropeTable] = ropeTable
    span[SPAN.mix] = this.#mixOf(sequence)
    span[SPAN.pageStart] = this.#pages.length
    span[SPAN.pageCount] = used
    this.#sequences.append(span)
    this.#pages.append(sequence.pages.slice(0, used))
    this.#tokens.append(tokens.subarray(cached, cached + count))
    this.#tokens.append(draft)
    const end = this.#tokens.length
    for (let row = end - logitRowsOf(part); row < end; row++) this.#logitRows.push(row)
  }

  #mixOf({ request, mixKey, use }: Sequence): number {
    if (request.mix.length === 0) return -1
    const known = this.#mixes.get(mixKey)
    if (known !== undefined) return known
    const mix = this.#mixes.size
    this.#mixes.set(mixKey, mix)
    this.#mixStart.push(this.#mixAdapters.length)
    this.#mixAdapters.append(use.members.map(({ id }) => id))
    this.#mixScales.append(request.mix.map(({ scale }) => scale))
    this.#mixStacked.push(request.stack ? 1 : 0)
    return mix
  }
}

/** Rows of logits that a part gets: its last ones. */
export function logitRowsOf({ sequence, count, draft }: StepPart): number {
  if (sequence.wantsPrompt) return count
  return sequence.pending === count ? 1 + draft.length : 0
}
